"""What holds for every text that is cut."""

import html
import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.text import split

FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})[^`\n]*$", re.MULTILINE)

FRAGMENTS = [
    *("word ", "sentence. ", "句子。", "\n", "\n\n", " ", "    ", "\t", "- ", "> ", "1. ", "# "),
    *("\n```py\n", "\n```\n", "\n~~~\n", "<", "&", '"', "\\", "é\u0301", "🇨🇳", "👩\u200d👧", "\r\n", "x" * 30),
]
TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join) | st.text(max_size=200)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def escaped(text: str) -> int:
    return len(html.escape(text))


MEASURE: st.SearchStrategy[Callable[[str], int]] = st.sampled_from([len, utf16, escaped])


def visible(text: str) -> str:
    return re.sub(r"\s|>", "", FENCE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


@given(TEXT, st.integers(16, 80), MEASURE)
@settings(deadline=None, max_examples=300)
def test_every_piece_fits_and_none_is_empty(text: str, limit: int, measure: Callable[[str], int]) -> None:
    pieces = split(text, limit, measure)

    assert pieces
    assert all(measure(piece) <= limit for piece in pieces) or not text.strip()
    assert all(piece.strip() for piece in pieces) or pieces == (text,)


@given(TEXT, st.integers(16, 80), MEASURE)
@settings(deadline=None, max_examples=300)
def test_nothing_is_lost_and_the_order_stays(text: str, limit: int, measure: Callable[[str], int]) -> None:
    pieces = split(text, limit, measure)

    assert visible("\n".join(pieces)) == visible(text)


@given(TEXT)
@settings(deadline=None)
def test_a_cut_text_is_not_cut_again(text: str) -> None:
    for piece in split(text, 40):
        assert split(piece, 40) == (piece,)
