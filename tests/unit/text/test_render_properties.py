"""What holds for every text, in every dialect."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dragoman.text import Dialect, layout, page, render, syntax
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
    assume(not syntax.MARKUP.search(text))
    tokens = syntax.parse(text)

    assert tokens is not None
    assert render(text, "html") == page.write(tokens)
    for dialect, style in STYLES.items():
        assert render(text, dialect) == layout.write(tokens, style)


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
    ],
)
def test_hostile_text_takes_no_long_time(text: str, dialect: Dialect) -> None:
    started = time.process_time()

    assert render(text, dialect)

    assert time.process_time() - started < 5  # quadratic ways take minutes
