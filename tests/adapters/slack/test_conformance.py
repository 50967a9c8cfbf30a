"""Slack under the certification kit: the shared vectors, and the hard tests by inheritance."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dragoman.adapters.slack import Slack
from dragoman.model import Secret
from dragoman.testing.conformance import AdapterSuite, run_vectors
from dragoman.testing.simulators.slack import BOT, BOT_ID, SlackSimulator
from dragoman.wire import Frame, Http

NOW = 1_767_406_614.25
SECRET = "signing-secret-of-this-suite"
TOKEN = "xoxb-token-of-this-suite"
VECTORS = Path(__file__).parents[3] / "../shared/platforms/vectors/slack.json"


def simulator(*, at: float = NOW) -> SlackSimulator:
    return SlackSimulator(signing_secret=SECRET, bot_token=TOKEN, clock=lambda: at)


class TestSlack(AdapterSuite):
    adapter = Slack(
        account="support",
        signing_secret=Secret(SECRET),
        bot_token=Secret(TOKEN),
        bot_user_id=BOT,
        bot_id=BOT_ID,
    )
    now = NOW

    def genuine(self) -> Sequence[Http]:
        slack = simulator()
        return [
            slack.webhook("hello"),
            slack.webhook("hello", channel="C1"),
            slack.webhook("again", channel="C1", thread="1767406600.000100"),
            slack.shared("a.txt", b"bytes", mime="text/plain"),
            slack.slash("/weather", "Paris"),
            slack.button("yes", "1", channel="C1"),
        ]

    def own(self) -> Sequence[Http]:
        slack = simulator()
        ts = "1767406614.000100"
        said = {"type": "message", "channel": "C1", "channel_type": "channel", "text": "hi", "ts": ts, "event_ts": ts}
        item = {"type": "message", "channel": "C1", "ts": ts}
        return [
            slack.webhook("hello", sender=BOT),
            slack.event({**said, "user": BOT, "bot_id": BOT_ID}),
            slack.event({**said, "bot_id": BOT_ID, "subtype": "bot_message"}),
            slack.event({"type": "reaction_added", "user": BOT, "reaction": "eyes", "item": item, "event_ts": ts}),
        ]

    def stale(self) -> Http:
        return simulator(at=NOW - 301).webhook("hello")


class TestSocketMode(AdapterSuite):
    adapter = Slack(
        account="support",
        app_token=Secret("xapp-token-of-this-suite"),
        bot_token=Secret(TOKEN),
        bot_user_id=BOT,
        bot_id=BOT_ID,
    )
    now = NOW
    webhooks = False

    def frames(self) -> Sequence[Frame]:
        slack = simulator()
        requests = [slack.webhook("hello"), slack.webhook("hello", channel="C1"), slack.slash("/weather", "Paris")]
        return [
            Frame(data=json.dumps(slack.links.envelope(request)))
            for request in (*requests, slack.button("yes", "1", channel="C1"))
        ]


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside this checkout")
def test_all_vectors_pass() -> None:
    results = run_vectors("slack", VECTORS)

    assert [result.line for result in results if result.status == "FAIL"] == []
    assert {result.status for result in results} == {"ok"}
