"""What people wrote, read from mrkdwn and from rich text blocks."""

import msgspec
import pytest

from dragoman.adapters.slack import mrkdwn
from dragoman.errors import Malformed
from dragoman.model import Mention


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@UBOT> hello", "hello"),
        ("hey <@UBOT|dragoman> there", "hey there"),
        ("hello <@UBOT>", "hello"),
        ("<@U1|ann> and <@U2>", "@ann and @U2"),
        ("<#C1|general> or <#C2>", "#general or #C2"),
        ("<!here> <!channel|channel> <!everyone>", "@here @channel @everyone"),
        ("<!subteam^S1|@crew> <!subteam^S2>", "@crew @S2"),
        ("<!date^1767406614^{date}|3 January>", "3 January"),
        ("<https://example.org/a>", "https://example.org/a"),
        ("<https://example.org|example.org>", "example.org"),
        ("<https://example.org/?a=1&amp;b=2|R&amp;D>", "R&D (https://example.org/?a=1&b=2)"),
        ("<mailto:ann@example.org|ann@example.org>", "ann@example.org"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("&lt;@UBOT&gt; is no mention", "<@UBOT> is no mention"),
        ("a < b <", "a < b <"),
        ("<|label> <> <!> <@>", "label <> @ @"),
        ("  \n two\nlines ", "two\nlines"),
        ("", ""),
    ],
)
def test_tokens_are_read_before_entities(written: str, read: str) -> None:
    assert mrkdwn.clean(written, "UBOT") == read


def test_everyone_who_is_named_is_listed_once_in_order() -> None:
    named = mrkdwn.mentions("<@U2> <@UBOT|d> <@U2|bea> <!here> &lt;@U9&gt; <#C1>", "UBOT")

    assert named == (Mention(id="U2"), Mention(id="UBOT", name="d", is_bot=True))


def test_rich_text_is_read_when_there_is_no_text() -> None:
    section = [
        {"type": "user", "user_id": "UBOT"},
        {"type": "text", "text": " is 1 < 2? ", "style": {"bold": True}},
        {"type": "link", "url": "https://example.org/?a&b", "text": "see"},
        {"type": "emoji", "name": "wave", "unicode": "1f44b"},
        {"type": "channel", "channel_id": "C1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "broadcast", "range": "here"},
        {"type": "date", "timestamp": 1, "fallback": "today"},
        {"type": "link", "url": "https://example.org"},
        {"type": "of tomorrow", "text": "?"},
    ]
    items = [{"type": "rich_text_section", "elements": [{"type": "text", "text": word}]} for word in ("one", "two")]
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "no rich text"}},
        {
            "type": "rich_text",
            "elements": [
                {"type": "rich_text_section", "elements": section},
                {"type": "rich_text_list", "style": "bullet", "elements": items},
                {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "a = 1"}]},
            ],
        },
    ]

    written = mrkdwn.written("", msgspec.Raw(msgspec.json.encode(blocks)))

    assert written == (
        "<@UBOT> is 1 &lt; 2? <https://example.org/?a&amp;b|see>:wave:<#C1><!subteam^S1><!here>today"
        "<https://example.org>?\n• one\n• two\na = 1"
    )
    assert mrkdwn.clean(written, "UBOT").startswith("is 1 < 2? see (https://example.org/?a&b)")


def test_text_goes_before_blocks() -> None:
    assert mrkdwn.written("said", msgspec.Raw(b"[]")) == "said"
    assert mrkdwn.written(None, msgspec.Raw(b"null")) == ""


def test_blocks_that_are_not_blocks_are_malformed() -> None:
    with pytest.raises(Malformed):
        mrkdwn.written("", msgspec.Raw(b'{"type":"rich_text"}'))
