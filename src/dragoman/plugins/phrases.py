"""What people say, made comparable: case, width, punctuation and spacing make no difference."""

import re
import unicodedata
from typing import Final

CJK: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
HAS_CJK: Final = re.compile(f"[{CJK}]")
BESIDE_CJK: Final = re.compile(f"(?<=[{CJK}]) | (?=[{CJK}])")
LEVEL: Final = str.maketrans({**dict.fromkeys('?!.,;:。、…~"“”「」', " "), "\u2019": "'"})
"""Punctuation of both scripts counts as a space; NFKC has made the full-width forms half-width before."""


def normalise(text: str) -> str:
    """Return the form in which phrases are compared; `normalise("Slack 怎么连接?") == "slack怎么连接"`."""
    level = unicodedata.normalize("NFKC", text).casefold().translate(LEVEL)
    return BESIDE_CJK.sub("", " ".join(level.split()))


def is_chinese(text: str) -> bool:
    """Tell whether a text is to be answered in Chinese: it has at least one Chinese character."""
    return HAS_CJK.search(text) is not None
