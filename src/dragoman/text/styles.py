"""How each dialect writes what the portable text means: one table of marks and functions per dialect."""

import dataclasses
import html
import re
from collections.abc import Callable, Mapping
from typing import Final

from dragoman.text import syntax

Marks = tuple[str, str]

OPENABLE: Final = re.compile(r"(?:https?|mailto|tel|tg):", re.IGNORECASE)
"""The schemes that a reader may be led to by a click; other addresses are shown, not linked."""

INVISIBLE: Final = "\u200b"
"""A zero-width space: separates where a dialect has no escape."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """What a dialect puts around and in place of things."""

    escape: Callable[[str], str]
    special: Callable[[str], str]
    """Writes a character that the author escaped, so that it is not read as markup now."""
    marks: Mapping[str, Marks]
    """Around `strong`, `em` and `s`."""
    code: Callable[[str], str]
    fence: Callable[[str, str], str]
    """Writes code and its language."""
    link: Callable[[str, str], str]
    """Writes a plain label and an openable address."""
    bullet: str = "- "
    quote: tuple[str, str, str] = ("", "> ", "")
    """Before a quote, before each of its lines, after it."""
    quotes_nest: bool = True
    code_indents: bool = True
    """False where a code block always is a block of its own, even in a list."""
    indent: int = 0
    """The least indentation of what belongs to a list item."""
    gap: str = ""
    """Separates a mark from a letter outside, where the platform sees marks at word boundaries only."""


def _as_is(text: str) -> str:
    return text


def _plain_link(label: str, url: str) -> str:
    return label if _same(label, url) else f"{label} ({url})"


def _same(label: str, url: str) -> bool:
    return label == url or url in {f"mailto:{label}", syntax.markdown().normalizeLink(label)}


def _slack_code(code: str) -> str:
    # Slack has no way to write a backtick inside of code.
    return _slack_escape(code) if "`" in code else f"`{_slack_escape(code)}`"


def _slack_escape(text: str) -> str:
    # "Formatting text for app surfaces", section "Escaping text": these three and no others.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_fence(code: str, _: str) -> str:
    return f"```\n{_slack_escape(_unfenced(code))}\n```"


def _slack_link(label: str, url: str) -> str:
    target = _slack_escape(url).replace("|", "%7C")
    return f"<{target}>" if label == url else f"<{target}|{_slack_escape(label)}>"


def _unfenced(code: str) -> str:
    # A fence inside of code would end it: neither Slack nor Feishu documents longer fences.
    return code.replace("```", f"``{INVISIBLE}`")


def _telegram_escape(text: str) -> str:
    # "Formatting options", section "HTML style".
    return html.escape(text, quote=False)


def _telegram_code(code: str) -> str:
    return f"<code>{_telegram_escape(code)}</code>"


def _telegram_fence(code: str, language: str) -> str:
    body = _telegram_escape(code)
    return (
        f'<pre><code class="language-{html.escape(language)}">{body}</code></pre>' if language else f"<pre>{body}</pre>"
    )


def _telegram_link(label: str, url: str) -> str:
    return f'<a href="{html.escape(url)}">{_telegram_escape(label)}</a>'


def _feishu_escape(text: str) -> str:
    # `<at user_id="all"></at>` in an `md` tag calls everyone ("Message content", section "post").
    # An ampersand alone is itself; before a name it would make an entity.
    return re.sub(r"&(?=#?\w)", "&amp;", text).replace("<", "&lt;")


def _feishu_literal(text: str) -> str:
    # Feishu knows no backslash escapes, but numeric entities. Inside a word an underscore is only a letter.
    return re.sub(r"[*~`\[\]#>]|\b_|_\b", lambda mark: f"&#{ord(mark[0])};", _feishu_escape(text))


def _feishu_special(text: str) -> str:
    return "&amp;" if text == "&" else _feishu_literal(text)


def _feishu_code(code: str) -> str:
    return _feishu_literal(code) if "`" in code else f"`{code}`"


def _feishu_fence(code: str, language: str) -> str:
    return f"```{language}\n{_unfenced(code)}\n```"


def _feishu_link(label: str, url: str) -> str:
    target = url.replace("(", "%28").replace(")", "%29")
    return f"[{_feishu_literal(label)}]({target})"


PLAIN: Final = Style(
    escape=_as_is,
    special=_as_is,
    marks={"strong": ("", ""), "em": ("", ""), "s": ("", "")},
    code=_as_is,
    fence=lambda code, _: code,
    link=_plain_link,
)

SLACK: Final = Style(
    escape=_slack_escape,
    special=_slack_escape,
    marks={"strong": ("*", "*"), "em": ("_", "_"), "s": ("~", "~")},
    code=_slack_code,
    fence=_slack_fence,
    link=_slack_link,
    bullet="• ",
    quotes_nest=False,
    code_indents=False,
    gap=INVISIBLE,
)

TELEGRAM: Final = Style(
    escape=_telegram_escape,
    special=_telegram_escape,
    marks={"strong": ("<b>", "</b>"), "em": ("<i>", "</i>"), "s": ("<s>", "</s>")},
    code=_telegram_code,
    fence=_telegram_fence,
    link=_telegram_link,
    bullet="• ",
    quote=("<blockquote>", "", "</blockquote>"),
    quotes_nest=False,
    code_indents=False,
)

FEISHU: Final = Style(
    escape=_feishu_escape,
    special=_feishu_special,
    marks={"strong": ("**", "**"), "em": ("*", "*"), "s": ("~~", "~~")},
    code=_feishu_code,
    fence=_feishu_fence,
    link=_feishu_link,
    indent=4,
)
