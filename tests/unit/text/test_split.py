"""Where a long text is cut."""

import time

import pytest

from dragoman.text import render, split


def test_a_short_text_comes_back_as_it_is() -> None:
    assert split("  short\r\n", 16) == ("  short\r\n",)


@pytest.mark.parametrize("blank", ["", " ", "\n\n", " " * 100])
def test_a_blank_text_comes_back_as_it_is(blank: str) -> None:
    assert split(blank, 16) == (blank,)


def test_what_is_short_when_rendered_is_not_cut() -> None:
    source = "[ann](https://example.org/)"

    assert split(source, 20, lambda piece: len(render(piece, "plain")) - 20) == (source,)


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        pytest.param("one two\nthree\n\nfour five six", ("one two\nthree", "four five six"), id="blank line"),
        pytest.param("one two. x\nthree four five six", ("one two. x", "three four five six"), id="line"),
        pytest.param("One two. Three four five six", ("One two.", "Three four five six"), id="sentence"),
        pytest.param(
            "一二三四五。六七八九十一二三四五六七八九十",
            ("一二三四五。", "六七八九十一二三四五六七八九十"),
            id="chinese sentence",
        ),
        pytest.param(
            "他说：“一二三四五。”六七八九十一二三四五六七",
            ("他说：“一二三四五。”", "六七八九十一二三四五六七"),
            id="quoted sentence",
        ),
        pytest.param("version 1.5 and so on it goes", ("version 1.5 and so", "on it goes"), id="word"),
        pytest.param("abcdefghijklmnopqrstuvwxyz", ("abcdefghijklmnopqrst", "uvwxyz"), id="anywhere"),
        pytest.param("a\n\nbcdefghijklmnop qrstuvwxyz", ("a\n\nbcdefghijklmnop", "qrstuvwxyz"), id="not too soon"),
        pytest.param(
            "\n\n  one two three \n\n \n four five six", ("  one two three", " four five six"), id="blanks at the cut"
        ),
    ],
)
def test_a_cut_is_made_where_it_hurts_least(source: str, pieces: tuple[str, ...]) -> None:
    assert split(source, 20) == pieces


@pytest.mark.parametrize(
    "whole",
    ["e\u0301", "👍🏽", "👩\u200d👩\u200d👧", "❤\ufe0f", "🇨🇳", "\\*", "क\u093f", "🏴\U000e0067\U000e007f"],
)
@pytest.mark.parametrize("filling", range(12, 17))
def test_what_is_seen_as_one_character_is_not_cut(whole: str, filling: int) -> None:
    source = "x" * filling + whole * 8

    pieces = split(source, 16)

    assert "".join(pieces) == source
    assert all(len(piece) <= 16 for piece in pieces)
    assert all(piece.lstrip("x").replace(whole, "") == "" for piece in pieces)


def test_a_longer_cluster_than_the_limit_is_cut_all_the_same() -> None:
    assert [len(piece) for piece in split("a" + "\u0301" * 40, 16)] == [16, 16, 9]


def test_a_cut_code_block_is_closed_and_reopened() -> None:
    source = "Look:\n\n```python\n" + "\n".join(f"line{n}()" for n in range(6)) + "\n```\n\nDone."

    assert split(source, 40) == (
        "Look:\n\n```python\nline0()\nline1()\n```",
        "```python\nline2()\nline3()\nline4()\n```",
        "```python\nline5()\n```\n\nDone.",
    )


def test_a_code_block_that_fits_the_next_piece_is_not_cut() -> None:
    source = "some words come first\n```\ncode\n\ncode\n```\nend"

    assert split(source, 32) == ("some words come first", "```\ncode\n\ncode\n```\nend")


def test_no_empty_code_block_is_left_behind() -> None:
    source = "words of prose\n```py\n" + "x" * 22 + "\n```\nend"

    assert split(source, 34) == ("words of prose", f"```py\n{'x' * 22}\n```", "end")


def test_the_indentation_of_code_survives_the_cut() -> None:
    source = "```\nif a:\n    b = 111111\n    c = 222222\n```"

    assert split(source, 30) == ("```\nif a:\n    b = 111111\n```", "```\n    c = 222222\n```")


def test_code_in_a_list_or_a_quote_is_reopened_in_its_place() -> None:
    listed = "- item\n  ```sh\n  make one two\n  make three\n  ```"
    quoted = "> ~~~\n> make one two\n> make three four\n> ~~~"

    assert split(listed, 40) == ("- item\n  ```sh\n  make one two\n  ```", "  ```sh\n  make three\n  ```")
    assert split(quoted, 36) == ("> ~~~\n> make one two\n> ~~~", "> ~~~\n> make three four\n> ~~~")


def test_a_fence_that_is_text_is_no_code_block() -> None:
    source = "a ``` b\n\n    ```\n    x\n\ntail of the text"

    assert split(source, 24) == ("a ``` b\n\n    ```\n    x", "tail of the text")


def test_an_unclosed_code_block_stays_one() -> None:
    assert split("```\naaaaaaaa\nbbbbbbbb\ncccccccc", 26) == ("```\naaaaaaaa\nbbbbbbbb\n```", "```\ncccccccc")


def test_a_list_does_not_become_code_at_a_cut() -> None:
    source = "- first item\n    - nested one\n    - nested two"

    assert split(source, 18) == ("- first item", "   - nested one", "   - nested two")


def test_a_piece_fits_when_rendered() -> None:
    source = "a < b & c > d. " * 60

    pieces = split(source, 100, lambda piece: len(render(piece, "html")))

    assert all(len(render(piece, "html")) <= 100 for piece in pieces)
    assert "".join(pieces).replace(" ", "") == source.replace(" ", "")
    assert len(pieces) < 30


def test_a_fence_that_does_not_fit_is_given_up() -> None:
    def telegram(piece: str) -> int:
        return len(render(piece, "telegram"))

    pieces = split("```python\n" + "x" * 40 + "\n```", 30, telegram)

    assert all(telegram(piece) <= 30 for piece in pieces)
    assert "".join(pieces).count("x") == 40


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Words and more words, and some 中文字。\n" * 30_000, id="lines"),
        pytest.param("x" * 1_000_000, id="one word"),
        pytest.param("```\n" + "code of a program\n" * 60_000, id="one code block"),
        pytest.param("```\ncode\n```\nprose\n\n" * 50_000, id="many code blocks"),
        pytest.param("\n" * 500_000 + "x" + " " * 500_000 + "y", id="blanks"),
        pytest.param("🇨🇳" * 300_000, id="flags"),
        pytest.param("\\" * 1_000_000, id="backslashes"),
        pytest.param("a\u0301\u0301" * 300_000, id="accents"),
    ],
)
def test_a_megabyte_is_cut_in_no_long_time(text: str) -> None:
    started = time.process_time()

    pieces = split(text, 4000)

    assert time.process_time() - started < 6  # quadratic ways take minutes
    assert all(len(piece) <= 4000 for piece in pieces)
