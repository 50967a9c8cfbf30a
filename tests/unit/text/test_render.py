"""What each dialect makes of each construct."""

import re

import pytest

from dragoman.text import Dialect, render

DIALECTS: tuple[Dialect, ...] = ("plain", "slack", "telegram", "feishu", "html")
LINES: tuple[Dialect, ...] = ("plain", "slack", "telegram", "feishu")

MARKED: dict[str, tuple[str, str, str, str, str]] = {
    # CommonMark: plain, Slack, Telegram, Feishu, HTML
    "**b**": ("b", "*b*", "<b>b</b>", "**b**", "<p><strong>b</strong></p>"),
    "_i_": ("i", "_i_", "<i>i</i>", "*i*", "<p><em>i</em></p>"),
    "~~s~~": ("s", "~s~", "<s>s</s>", "~~s~~", "<p><s>s</s></p>"),
    "`a<b`": ("a<b", "`a&lt;b`", "<code>a&lt;b</code>", "`a<b`", "<p><code>a&lt;b</code></p>"),
    "***x***": ("x", "_*x*_", "<i><b>x</b></i>", "***x***", "<p><em><strong>x</strong></em></p>"),
    "**a **b** c**": (
        "a b c",
        "*a b c*",
        "<b>a b c</b>",
        "**a b c**",
        "<p><strong>a <strong>b</strong> c</strong></p>",
    ),
    "**a\nb**": (
        "a\nb",
        "*a*\n*b*",
        "<b>a</b>\n<b>b</b>",
        "**a**\n**b**",
        "<p><strong>a<br>\nb</strong></p>",
    ),
    "[a & b](https://x.org/?p=1&q=2)": (
        "a & b (https://x.org/?p=1&q=2)",
        "<https://x.org/?p=1&amp;q=2|a &amp; b>",
        '<a href="https://x.org/?p=1&amp;q=2">a &amp; b</a>',
        "[a & b](https://x.org/?p=1&q=2)",
        '<p><a href="https://x.org/?p=1&amp;q=2" rel="nofollow noopener noreferrer" target="_blank">a &amp; b</a></p>',
    ),
    "<https://x.org>": (
        "https://x.org",
        "<https://x.org>",
        '<a href="https://x.org">https://x.org</a>',
        "[https://x.org](https://x.org)",
        '<p><a href="https://x.org" rel="nofollow noopener noreferrer" target="_blank">https://x.org</a></p>',
    ),
    "<ann@x.org>": (
        "ann@x.org",
        "<mailto:ann@x.org|ann@x.org>",
        '<a href="mailto:ann@x.org">ann@x.org</a>',
        "[ann@x.org](mailto:ann@x.org)",
        '<p><a href="mailto:ann@x.org" rel="nofollow noopener noreferrer" target="_blank">ann@x.org</a></p>',
    ),
    "![cat](https://x.org/c.png)": (
        "cat (https://x.org/c.png)",
        "<https://x.org/c.png|cat>",
        '<a href="https://x.org/c.png">cat</a>',
        "[cat](https://x.org/c.png)",
        '<p><a href="https://x.org/c.png" rel="nofollow noopener noreferrer" target="_blank">cat</a></p>',
    ),
    "[![cat](https://x.org/c.png)](https://x.org)": (
        "cat (https://x.org)",
        "<https://x.org|cat>",
        '<a href="https://x.org">cat</a>',
        "[cat](https://x.org)",
        '<p><a href="https://x.org" rel="nofollow noopener noreferrer" target="_blank">cat</a></p>',
    ),
    "[run](javascript:alert(1))": (
        "run (javascript:alert(1))",
        "run (javascript:alert(1))",
        "run (javascript:alert(1))",
        "run (javascript:alert(1))",
        "<p>run (javascript:alert(1))</p>",
    ),
    "[page](/docs)": ("page (/docs)", "page (/docs)", "page (/docs)", "page (/docs)", "<p>page (/docs)</p>"),
    "[nowhere]()": ("nowhere", "nowhere", "nowhere", "nowhere", "<p>nowhere</p>"),
    "# Head **line**": (
        "Head line",
        "*Head line*",
        "<b>Head line</b>",
        "**Head line**",
        "<h1>Head <strong>line</strong></h1>",
    ),
    "Head\n====\ntext": (
        "Head\ntext",
        "*Head*\ntext",
        "<b>Head</b>\ntext",
        "**Head**\ntext",
        "<h1>Head</h1>\n<p>text</p>",
    ),
    "a\n***\nb": ("a\n\n---\nb", "a\n\n---\nb", "a\n\n---\nb", "a\n\n---\nb", "<p>a</p>\n<hr>\n<p>b</p>"),
    "To buy:\n* figs\n* dates": (
        "To buy:\n- figs\n- dates",
        "To buy:\n• figs\n• dates",
        "To buy:\n• figs\n• dates",
        "To buy:\n- figs\n- dates",
        "<p>To buy:</p>\n<ul>\n<li>figs</li>\n<li>dates</li>\n</ul>",
    ),
    "3. c\n4. d\n   - e": (
        "3. c\n4. d\n   - e",
        "3. c\n4. d\n   • e",
        "3. c\n4. d\n   • e",
        "3. c\n4. d\n    - e",
        '<ol start="3">\n<li>c</li>\n<li>d\n<ul>\n<li>e</li>\n</ul>\n</li>\n</ol>',
    ),
    "> a\n> b\n\nc": (
        "> a\n> b\n\nc",
        "> a\n> b\n\nc",
        "<blockquote>a\nb</blockquote>\n\nc",
        "> a\n> b\n\nc",
        "<blockquote>\n<p>a<br>\nb</p>\n</blockquote>\n<p>c</p>",
    ),
    "> a\n>> b": (
        "> a\n> > b",
        "> a\n> b",
        "<blockquote>a\nb</blockquote>",
        "> a\n> > b",
        "<blockquote>\n<p>a</p>\n<blockquote>\n<p>b</p>\n</blockquote>\n</blockquote>",
    ),
    "> a\n# b": (
        "> a\n\nb",
        "> a\n\n*b*",
        "<blockquote>a</blockquote>\n\n<b>b</b>",
        "> a\n\n**b**",
        "<blockquote>\n<p>a</p>\n</blockquote>\n<h1>b</h1>",
    ),
    "```c++ numbered\nif (a<b)\n\n  {}\n```": (
        "if (a<b)\n\n  {}",
        "```\nif (a&lt;b)\n\n  {}\n```",
        '<pre><code class="language-c++">if (a&lt;b)\n\n  {}</code></pre>',
        "```c++\nif (a<b)\n\n  {}\n```",
        '<pre><code class="language-c++">if (a&lt;b)\n\n  {}\n</code></pre>',
    ),
    "    indented\n      code": (
        "indented\n  code",
        "```\nindented\n  code\n```",
        "<pre>indented\n  code</pre>",
        "```\nindented\n  code\n```",
        "<pre><code>indented\n  code\n</code></pre>",
    ),
    "- a\n  ```\n  x\n   y\n  ```": (
        "- a\n  x\n   y",
        "• a\n```\nx\n y\n```",
        "• a\n<pre>x\n y</pre>",
        "- a\n    ```\n    x\n     y\n    ```",
        "<ul>\n<li>a<pre><code>x\n y\n</code></pre>\n</li>\n</ul>",
    ),
    "| a | b |\n|:--|---|\n| 1 | **2** |": (
        "a | b\n1 | 2",
        "*a* | *b*\n1 | *2*",
        "<b>a</b> | <b>b</b>\n1 | <b>2</b>",
        "**a** | **b**\n1 | **2**",
        (
            "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n"
            "<td><strong>2</strong></td>\n</tr>\n</tbody>\n</table>"
        ),
    ),
    "a  \nb\\\nc": ("a\nb\nc", "a\nb\nc", "a\nb\nc", "a\nb\nc", "<p>a<br>\nb<br>\nc</p>"),
    "<b>x</b> &lt; &copy; \\*y\\*": (
        "<b>x</b> < © *y*",
        "&lt;b&gt;x&lt;/b&gt; &lt; © *y*",
        "&lt;b&gt;x&lt;/b&gt; &lt; © *y*",
        "&lt;b>x&lt;/b> &lt; © &#42;y&#42;",
        "<p>&lt;b&gt;x&lt;/b&gt; &lt; © *y*</p>",
    ),
    "- a\n-\n- b": (
        "- a\n-\n- b",
        "• a\n•\n• b",
        "• a\n•\n• b",
        "- a\n-\n- b",
        "<ul>\n<li>a</li>\n<li></li>\n<li>b</li>\n</ul>",
    ),
}

CASES = [
    (source, dialect, result)
    for source, results in MARKED.items()
    for dialect, result in zip(DIALECTS, results, strict=True)
]


@pytest.mark.parametrize(("source", "dialect", "result"), CASES)
def test_a_construct_is_written_as_the_dialect_has_it(source: str, dialect: Dialect, result: str) -> None:
    assert render(source, dialect) == result


@pytest.mark.parametrize("dialect", LINES)
@pytest.mark.parametrize(
    "prose",
    [
        "",
        "Good morning.",
        "one\ntwo\n\nthree",
        "你好，世界！\n今天 3.14 元，可以吗？\n\n好的。",
        "　　段首空两格。\n　　第二行。",
        "echo: hello_world and snake__case stay",
        "2 - 1 = 1, 50% of $8; (yes) {no} a|b @ann /help ~5 #tag 'x' \"y\"",
        "https://example.org/a_b?c=d#e",
        "at 10:30 - or 1.5 h later",
        "1) one\n2) two",
        "2024. What a year.",
        "end of a line!\nnext",
    ],
)
def test_ordinary_prose_comes_out_unchanged(prose: str, dialect: Dialect) -> None:
    assert render(prose, dialect) == prose


def test_prose_in_html_keeps_its_lines_and_paragraphs() -> None:
    assert render('a "b"\nc & d\n\ne', "html") == "<p>a &quot;b&quot;<br>\nc &amp; d</p>\n<p>e</p>"


def test_blank_lines_are_kept_as_one_and_none_is_invented() -> None:
    source = "# Plan\nfirst\n- a\n- b\n\n\n\n1. c\n\n2. d\n\nlast"

    assert render(source, "plain") == "Plan\nfirst\n- a\n- b\n\n1. c\n\n2. d\n\nlast"


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("你好**世界**吗", "你好\u200b*世界*\u200b吗"),
        ("un**believ**able", "un\u200b*believ*\u200bable"),
        ("so **bold**, yes", "so *bold*, yes"),
    ],
)
def test_slack_sees_marks_inside_of_words(source: str, result: str) -> None:
    assert render(source, "slack") == result


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("<!channel> <@U1> <#C1>", "&lt;!channel&gt; &lt;@U1&gt; &lt;#C1&gt;"),
        ("`<!here>`", "`&lt;!here&gt;`"),
        ("```\n<!here>\n```", "```\n&lt;!here&gt;\n```"),
        ("[<!here>](https://x.org)", "<https://x.org|&lt;!here&gt;>"),
        ("[a|b > c](https://x.org)", "<https://x.org|a|b &gt; c>"),
        ("[a](<https://x.org/|!here>)", "<https://x.org/%7C!here|a>"),
        ("[a\nb](https://x.org)", "<https://x.org|a b>"),
        ("[a](<!channel>)", "a (!channel)"),
        ("&lt;!channel&gt;", "&lt;!channel&gt;"),
        ("![<!here>](@U1)", "&lt;!here&gt; (@U1)"),
    ],
)
def test_slack_commands_cannot_be_smuggled_in(source: str, result: str) -> None:
    assert render(source, "slack") == result


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ('<at user_id="all"></at>', '&lt;at user_id="all">&lt;/at>'),
        ('[<at user_id="all">](https://x.org)', '[&lt;at user_id="all"&#62;](https://x.org)'),
        ("&lt;at id=all&gt;", "&lt;at id=all&#62;"),
        ("&amp;lt;at", "&amp;lt;at"),
        ("``a`<at id=all>``", "a&#96;&lt;at id=all&#62;"),
        ("~~~~\n```\n<at>\n~~~~", "```\n``\u200b`\n<at>\n```"),
        ("```<at>\nx\n```", "```\nx\n```"),
        ("[a](https://x.org/(b))", "[a](https://x.org/%28b%29)"),
        ("AT&T", "AT&amp;T"),
        ("a & b", "a & b"),
    ],
)
def test_feishu_mentions_cannot_be_smuggled_in(source: str, result: str) -> None:
    assert render(source, "feishu") == result


@pytest.mark.parametrize("dialect", ["telegram", "html"])
def test_a_quote_cannot_leave_an_attribute(dialect: Dialect) -> None:
    rendered = render('[a](<https://x.org/"onclick="alert(1)>)\n\n```x"y\ncode\n```', dialect)

    assert 'href="https://x.org/%22onclick=%22alert(1)"' in rendered
    assert "onclick=" not in rendered.replace('href="https://x.org/%22onclick=%22alert(1)"', "")


def test_a_backtick_inside_of_code_does_not_end_slacks_code() -> None:
    assert render("``a`b``", "slack") == "a`b"
    assert render("````\n```\n````", "slack") == "```\n``\u200b`\n```"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("source", ["#", ">", "&nbsp;", "` `", "```\n```", "![]()"])
def test_what_would_leave_nothing_to_see_is_shown_as_typed(source: str, dialect: Dialect) -> None:
    rendered = render(source, dialect)

    shown = re.sub(r"<[^>]*>", "", rendered) if dialect in {"telegram", "html"} else rendered
    assert shown.strip()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\x0c", "\u3000"])
def test_nothing_is_made_of_a_blank_text(blank: str, dialect: Dialect) -> None:
    assert render(blank, dialect) == ""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reference_definition_does_not_vanish(dialect: Dialect) -> None:
    assert "[note]: remember" in render("[note]: remember *this*", dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_nested_too_deeply_is_shown_literally(dialect: Dialect) -> None:
    assert "the end" in render("> " * 30 + "the end", dialect)


def test_an_address_in_a_links_label_is_no_link_of_its_own_on_a_page() -> None:
    rendered = render("see [the <https://x.org/a> page](https://x.org)", "html")

    assert rendered.count("<a ") == rendered.count("</a>") == 1
    assert "the https://x.org/a page</a>" in rendered
