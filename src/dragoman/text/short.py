"""The short way through a paragraph: marks that stand apart are read by one expression, and need no parser.

Those are `**words**`, `*words*`, `_words_`, code between single backticks and links to common addresses, none inside
another and none over a line's end. What else there may be is left to the parser; what is read means the same to it.
"""

import re
from collections.abc import Iterator
from typing import Final

from dragoman.text.styles import Style

_WORDS: Final = r"[^*`\[\]<\\&_~\n]++"
_SPACED: Final = r"(?<![^ \n])"  # before a mark: a blank, or the start
_ENDED: Final = r"(?![^ \n])"  # after a mark: a blank, or the end
MARKED: Final = re.compile(
    rf"""
      \*(?<![*`]\*)                                          # beside a backtick, code would have a say
      (?: \* (?: (?=[^\W_]) | (?<={_SPACED}\*\*)(?=\S) ) ({_WORDS}) (?: (?<=[^\W_])\*\* | (?<=\S)\*\*{_ENDED} )
        |    (?: (?=[^\W_]) | (?<={_SPACED}\*)(?=\S) ) ({_WORDS}) (?: (?<=[^\W_])\* | (?<=\S)\*{_ENDED} )
      ) (?![*`])
    | _(?<={_SPACED}_)(?=\S) ({_WORDS}) (?: (?<=[^\W_])_(?=[.,:;!?)]) | (?<=\S)_{_ENDED} )
    | `(?<!``) ([^`\n]+) `(?!`)
    | \[(?<!!\[)(?=\S) ({_WORDS}) (?<=\S)\]\( (https?://[a-z0-9.-]+(?:/[A-Za-z0-9_./?=&@:,+~\#-]*)?) \)
    """,
    re.VERBOSE,
)
"""Strong words, emphasized words by either mark, code, or a link's label and address."""

UNSURE: Final = re.compile(
    r"""
    [*`\[<\\&~_\n]
    (?: (?<=[*`\[<\\]) | (?<=&)[#\w] | (?<=~)~ | (?<=_)(?:(?<!\w_)|(?!\w)) | (?<=\n)[ \t] | (?<=[ \t]\n) )
    """,
    re.VERBOSE,
)
"""What between the marks is not for us to read."""


def write(source: str, style: Style, *, strong: bool = False) -> str | None:
    """Return a paragraph's source as a dialect writes it (all of it strong when asked), or None: ask the parser."""
    if strong and ("**" in source or "\n" in source):  # a mark in itself, or over lines
        return None
    first, *parts = MARKED.split(source)
    if UNSURE.search(".".join([first, *parts[6::7]])):
        return None
    text = style.escape(first) + "".join(_written(first, parts, style))
    opening, closing = style.marks["strong"] if strong else ("", "")
    return opening + text + closing


def _written(before: str, parts: list[str], style: Style) -> Iterator[str]:
    """Write marks and the words after each; a mark that touches a letter is kept apart from it."""
    for strong, starred, lined, code, label, url, after in zip(*(parts[at::7] for at in range(7)), strict=True):
        if code is not None:
            yield style.code(_unpadded(code))
        elif label is not None:
            yield style.link(label, url)
        else:
            opening, closing = style.marks["strong" if strong else "em"]
            yield style.gap + opening if before[-1:].isalnum() else opening
            yield style.escape(strong or starred or lined)
            yield closing + style.gap if after[:1].isalnum() else closing
        yield style.escape(after)
        before = after


def _unpadded(code: str) -> str:
    return code[1:-1] if code[0] == code[-1] == " " and code.strip(" ") else code
