"""What holds for every text, in every dialect."""

import re
import sys
import time
from html.parser import HTMLParser

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it.common.utils import isPunctChar, isWhiteSpace

from dragoman.text import Dialect, layout, page, render, short, spans, syntax
from dragoman.text.render import STYLES

DIALECTS: tuple[Dialect, ...] = ("plain", "slack", "telegram", "feishu", "html")

FRAGMENTS = [
    *(
        "*",
        "**",
        "_",
        "~~",
        "`",
        "``",
        "\n```\n",
        "~~~",
        "> ",
        "- ",
        "1. ",
        "# ",
        "---",
        "\n",
        "\n\n",
        "    ",
        " ",
        "\t",
    ),
    *("[", "](", "](https://x.org)", ")", "![", "<https://x.org/a|b>", "<!channel>", '<at id="all">', "</at>", "<b>"),
    *("|", "|-|-|", "\\", "&amp;", "&lt;", "&#60;", '"', "'", "word", "你好", "é", "\x00", "\r", "\u3000", "👩‍👧"),
]
MARKED = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
ANY = MARKED | st.text(max_size=80)
DIALECT = st.sampled_from(DIALECTS)

VOID = {"br", "hr"}
TELEGRAM_TAGS = {"b", "i", "s", "u", "code", "pre", "a", "blockquote"}


class _Balance(HTMLParser):
    """Reads tags strictly: each one opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _tags(markup: str) -> _Balance:
    balance = _Balance()
    balance.feed(markup)
    balance.close()
    assert balance.open == []
    return balance


@given(ANY, DIALECT)
@settings(deadline=None)
def test_every_text_renders(text: str, dialect: Dialect) -> None:
    assert bool(render(text, dialect).strip()) == bool(text.strip())


@given(ANY)
@settings(deadline=None)
def test_html_is_balanced_and_carries_no_attribute_but_ours(text: str) -> None:
    balance = _tags(render(text, "html"))

    assert balance.attributes <= {"href", "rel", "target", "class", "start"}
    assert not balance.seen & {"script", "img", "iframe", "at"}


@given(ANY)
@settings(deadline=None)
def test_telegram_gets_only_tags_that_it_knows(text: str) -> None:
    rendered = render(text, "telegram")
    balance = _tags(rendered)

    assert balance.seen <= TELEGRAM_TAGS
    assert balance.attributes <= {"href", "class"}
    assert not re.search(r"<blockquote>(?:(?!</blockquote>).)*<blockquote>", rendered, re.DOTALL)


@given(ANY)
@settings(deadline=None)
def test_slack_gets_no_angle_bracket_but_of_our_links(text: str) -> None:
    rest = re.sub(
        r"<(?:https?|mailto|tel|tg):[^<>|\s]*(?:\|[^<>\n]*)?>", "", render(text, "slack"), flags=re.IGNORECASE
    )

    assert "<" not in rest


@given(ANY)
@settings(deadline=None)
def test_feishu_gets_no_tag_outside_of_code(text: str) -> None:
    rendered = render(text, "feishu")
    assume("`" not in rendered)

    assert "<" not in rendered


WORDS = st.lists(
    st.sampled_from(
        [
            "*",
            "**",
            "_",
            "`",
            "\n```\n",
            "> ",
            "- ",
            "1. ",
            "# ",
            "\n",
            "\n\n",
            "    ",
            " ",
            "[",
            "](https://x.org)",
            "<",
            ">",
        ]
    )
    | st.integers(0, 999).map("w{}w".format),
    max_size=40,
)


@given(WORDS, DIALECT)
@settings(deadline=None)
def test_no_word_is_lost(parts: list[str], dialect: Dialect) -> None:
    rendered = render("".join(parts), dialect)

    written = re.findall(r"w\d+w", "".join(parts))
    assert re.findall(r"w\d+w", re.sub(r"<[^>]*>", "", rendered) if dialect == "html" else rendered) == written


PROSE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]) | st.sampled_from(" \n_.-1a&*#|你\u203f"),
    max_size=40,
)


@given(PROSE)
@settings(deadline=None)
def test_the_short_way_gives_what_parsing_gives(text: str) -> None:
    assume(text.strip() and not syntax.marked(text))
    tokens = syntax.parse(text)

    assert tokens is not None
    assert render(text, "html") == page.write(tokens)
    for dialect, style in STYLES.items():
        assert render(text, dialect) == layout.write(tokens, style)


@given(PROSE | st.text("\n\t\x00 -+=>#~:|0.)*`[<\\&_aé\xa0", max_size=8))
@settings(deadline=None)
def test_a_line_of_words_has_no_markup(text: str) -> None:
    assume(syntax.WORDS.fullmatch(text))

    assert not syntax.MARKUP.search(f"\n{text}\n")


APART = st.lists(
    st.sampled_from(
        [
            *(
                "word ",
                "*em* ",
                "**bold** ",
                "**Note:** ",
                "`code` ",
                "`` ` `` ",
                "_em_, ",
                "(_em_)",
                "a_b ",
                "_ ",
                "&",
            ),
            *("你好**重点**，", "*a*b", "b*a*", "x**b**", "**b**x", "*a*`c`", "`c`*a*", "**a**`c`", "` c `", "` ` "),
            *(
                "*a *b* c* ",
                "**a*",
                "*a**",
                "2 * 3 ",
                "2*3*4 ",
                "~~s~~ ",
                "~",
                "\\* ",
                "AT&T ",
                "&amp; ",
                "<https://x.org> ",
            ),
            *("[l](https://x.org) ", "[a b](https://x.org/a_b?c=d&e=f#g)", "[l](https://x.org/é)", "[l](http://X.org)"),
            *(
                "![i](https://x.org)",
                "[a]",
                "[a](b)",
                "[](https://x.org)",
                "[ a ](https://x.org)",
                "[l](https://x.org/%zz)",
            ),
            *(
                "\n",
                "\n\n",
                " ",
                "\t",
                ".",
                "!",
                ":",
                "_",
                "*",
                "`",
                "- ",
                "1. ",
                "# ",
                "> ",
                "=",
                "|",
                "\u3000",
                "\u203f",
            ),
        ]
    )
    | st.characters(exclude_categories=["Cs"]),
    max_size=20,
).map("".join)


@given(APART, st.booleans())
@settings(deadline=None, max_examples=500)
def test_the_short_way_through_a_paragraph_gives_what_parsing_gives(source: str, strong: bool) -> None:
    source = source.strip()

    for style in STYLES.values():
        written = short.write(source, style, strong=strong)
        assert written in {None, spans._Spans(style).write(syntax.inline(source), strong=strong)}
    html = page._renderer().renderInline(syntax.inline(source), syntax.markdown().options, {})
    assert short.write(source, page.SHORT) in {None, html}


@given(APART)
@settings(deadline=None, max_examples=500)
def test_paragraphs_written_one_by_one_are_what_parsing_gives(text: str) -> None:
    sources = syntax.paragraphs(text) if text.strip() else None
    assume(sources is not None)
    assert sources is not None
    tokens = syntax.parse(text)

    assert tokens is not None
    assert page.paragraphs(sources) == page.write(tokens)
    for style in STYLES.values():
        assert "\n\n".join(spans.write(source, style) for source in sources) == layout.write(tokens, style)


@pytest.mark.parametrize(
    "source",
    [
        "Two *words* and **more: of** them, `code` and _so on_.\nWith a [link](https://x.org/a?b=c) - or two!",
        "**Result:** 2 > 1! See 这是**重点**内容, AT & T, snake_case.",
    ],
)
def test_common_paragraphs_go_the_short_way(source: str) -> None:
    assert all(short.write(source, style) is not None for style in (*STYLES.values(), page.SHORT))


def test_no_letter_or_digit_is_punctuation_or_white_space_to_the_parser() -> None:
    for letter in filter(str.isalnum, map(chr, range(sys.maxunicode + 1))):
        assert not isPunctChar(letter)
        assert not isWhiteSpace(ord(letter))


@given(ANY | APART)
@settings(deadline=None)
def test_what_of_the_parser_is_switched_off_changes_nothing(text: str) -> None:
    whole = syntax._Parser("commonmark", {"html": False, "breaks": True, "maxNesting": syntax.MAX_NESTING})
    whole.enable(["table", "strikethrough"]).disable(["reference", "text_join"])
    ours = syntax.markdown().parse(text)
    for token in ours:
        token.children = syntax.inline(token.content) if token.type == "inline" else None

    assert ours == whole.parse(text)


def test_a_text_that_is_rendered_again_is_not_parsed_again() -> None:
    text = "- *one*\n- two"

    assert render(text, "slack") is render(text, "slack")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("*" * 50_000, id="stars"),
        pytest.param("[" * 50_000, id="brackets"),
        pytest.param("> " * 5_000, id="quotes"),
        pytest.param("- " * 5_000, id="lists"),
        pytest.param("**a*_" * 10_000, id="emphasis"),
        pytest.param("`a``" * 10_000, id="code"),
        pytest.param("<a:" * 10_000, id="autolinks"),
        pytest.param("![a](" * 10_000, id="images"),
        pytest.param("[a](https://x.org)" * 3_000, id="links"),
        pytest.param("a|b\n-|-\n" + "c|d\n" * 5_000, id="table"),
        pytest.param("- a\n" * 10_000, id="items"),
        pytest.param("*a **a _a `a " * 5_000, id="marks that open"),
        pytest.param("[a](https://x.org/" * 5_000, id="links that open"),
    ],
)
def test_hostile_text_takes_no_long_time(text: str, dialect: Dialect) -> None:
    started = time.process_time()

    assert render(text, dialect)

    assert time.process_time() - started < 5  # quadratic ways take minutes
