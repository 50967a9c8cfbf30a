"""No secret and no message's text in what operators and callers see."""

import base64
import io
from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Start

TOKEN = "canary-of-the-token"
SECRET = "whsec_" + base64.b64encode(b"canary-of-the-secret-canary-of-th").decode()
CHAT = "canary-of-the-chat-link"
SCRAPER = "canary-of-the-scraper"
WORDS = "canary in the words"
SECRETS = (TOKEN, SECRET, CHAT, SCRAPER)


async def test_no_secret_and_no_text_is_seen_anywhere(
    start: "Start", logs: io.StringIO, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    account = {"platform": "webhook", "token": TOKEN, "secret": SECRET, "reply_within": 20}
    settings = {"host": "0.0.0.0", "chat_token": CHAT, "metrics_token": SCRAPER}
    async with start({"webhook": account}, **settings) as site:
        answers = [
            await site.post({"content": WORDS}, token=TOKEN),
            await site.post({"content": WORDS}, token="wrong"),
            await site.post({"content": [WORDS]}, token=TOKEN),
            await site.post(WORDS.encode(), token=TOKEN),
            await site.post({"content": WORDS}, token="", webhook_signature="v1,AAAA", webhook_id="1"),
            await site.get(f"/chat?token={CHAT}x"),
            await site.get("/metrics", authorization=f"Bearer {SCRAPER}"),
            await site.get("/health/ready"),
            await site.post({}, path=f"/hooks/{TOKEN}"),
        ]
        await site.get(f"/chat?token={CHAT}")
        seen = logs.getvalue() + caplog.text + "".join(capfd.readouterr())
        shown = "".join(answer.text for answer in answers)
        traces = msgspec.json.encode(await site.ask("parked")).decode()

    assert answers[0].status == 200
    for secret in SECRETS:
        assert secret not in seen
        assert secret not in shown
        assert secret not in repr(site.house)
        assert secret not in traces
    assert WORDS not in seen
    assert "accepted" in seen


async def test_every_line_of_the_log_is_one_json_object(start: "Start", logs: io.StringIO) -> None:
    async with start() as site:
        await site.post({"content": "hello"})
        await site.post({"content": "hello"}, token="wrong")

    lines = [msgspec.json.decode(line, type=dict[str, object]) for line in logs.getvalue().splitlines()]
    assert {"started", "accepted", "handled", "refused", "stopping", "stopped"} <= {line["event"] for line in lines}
    assert all({"event", "level", "timestamp", "part"} <= set(line) for line in lines)
