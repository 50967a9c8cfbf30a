"""Where a message can go that answers nothing, on each platform, and where it cannot."""

from typing import Any

import pytest

from dragoman import adapters
from dragoman.adapter import Adapter
from dragoman.errors import Unreachable
from dragoman.model import Address, Secret

MAILBOX = {"address": "bot@acme.example", "imap_host": "i", "smtp_host": "s"}
SETTINGS: dict[str, dict[str, Any]] = {
    "email": MAILBOX,
    "feishu": {"app_id": "cli_1", "app_secret": Secret("s")},
    "slack": {"bot_token": Secret("xoxb")},
    "telegram": {"bot_token": Secret("1:a")},
    "web": {},
    "webhook": {"token": Secret("t"), "callback_url": "https://acme.example/in"},
}


def adapter(platform: str, **settings: Any) -> Adapter:
    return adapters.load(platform)(account="a", **{**SETTINGS[platform], **settings})


def address(channel: str, **facts: Any) -> Address:
    return Address(account="a", channel=channel, **facts)


@pytest.mark.parametrize(
    ("platform", "channel"),
    [
        ("email", "kim@acme.example"),
        ("feishu", "ou_1"),
        ("slack", "C1"),
        ("telegram", "-100123"),
        ("telegram", "@acme_news"),
        ("web", "kim"),
        ("webhook", "kim"),
    ],
)
def test_a_channel_alone_is_enough_and_an_events_ticket_is_left_behind(platform: str, channel: str) -> None:
    assert adapter(platform).unasked(address(channel, ticket={"reply": "token"})) == address(channel)


@pytest.mark.parametrize(
    ("platform", "channel", "settings", "reason"),
    [
        ("email", "kim", {}, "'kim' is no e-mail address"),
        ("slack", "C1", {"client_id": "1.2"}, "the workspace is missing"),
        ("telegram", "kim", {}, "'kim' is no chat of Telegram's"),
        ("webhook", "kim", {"callback_url": ""}, "no callback_url"),
    ],
)
def test_what_cannot_be_reached_is_refused_with_the_reason(
    platform: str, channel: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unreachable, match=reason):
        adapter(platform, **settings).unasked(address(channel))


def test_one_mailbox_is_one_recipient_however_it_is_written() -> None:
    assert adapter("email").unasked(address("Kim@Acme.Example")).channel == "kim@acme.example"


def test_an_app_of_several_workspaces_reaches_the_one_that_is_named() -> None:
    slack = adapter("slack", client_id="1.2")

    assert slack.unasked(address("C1", workspace="T1")) == address("C1", workspace="T1")
    assert slack.unasked(address("C1", ticket={"installation": "E1", "url": "x"})).ticket == {"installation": "E1"}
