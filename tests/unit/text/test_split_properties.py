"""What holds for every text that is cut."""

import html
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.text import render, split, syntax, verbatim

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


@given(TEXT)
@settings(deadline=None, max_examples=300)
def test_a_text_without_the_signs_of_code_has_no_code_blocks(text: str) -> None:
    signs = any(sign in text for sign in verbatim.SIGNS)

    assert signs or not [token for token in syntax.blocks(text) if token.type in {"fence", "code_block"}]


@pytest.mark.parametrize(
    "source",
    [
        "*a{} b* ",
        "a{}\n",
        "a{}\n\n",
        "- a{}\n",
        "> - a{}\n",
        "```\na{}\n```\n",
        "    a{}\n",
        "&<{}",
        "[a{}](",
        "🇨🇳👩\u200d{}",
    ],
)
def test_a_long_text_is_cut_in_no_long_time(source: str) -> None:
    text = "".join(map(source.format, range(100_000 // len(source))))
    started = time.process_time()

    assert len(split(text, 4000, lambda piece: len(render(piece, "slack")))) > 1

    assert time.process_time() - started < 10  # quadratic ways take minutes
