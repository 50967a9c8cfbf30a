"""Slack's files, both ways."""

from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known
from dragoman.adapters.slack import Slack
from dragoman.errors import MediaRefused, NoAnswer
from dragoman.model import Attachment, Button, Delivery, Media, Message, Say
from dragoman.wire import Credential, Http, Refused, Response, Retry, Sent, Unsure

Deliver = Callable[..., Delivery]
FILE = Attachment(kind="image", id="F1", url="https://files.slack.com/a/plan.png", name="plan.png", mime="image/png")
MEDIA = Media(ref="ab" * 32, size=12, mime="application/octet-stream")
PICTURE = Attachment(kind="image", name="plan.png", media=Media(ref="r1", size=5))
TICKET = wire.json_response({"ok": True, "upload_url": "https://files.slack.com/upload/v1/x", "file_id": "F1"})
UPLOADED = wire.text_response("OK - 5")


def test_a_file_is_uploaded_in_three_steps_with_the_text_as_its_comment(bench: Any, delivery: Deliver) -> None:
    files = (
        Attachment(kind="file", name="a.txt", media=bench.keep("r1", b"first", "")),
        Attachment(kind="file", media=bench.keep("r2", b"second", "b.txt")),
    )
    say = Say(message=Message(text="two files", attachments=files))

    outcome = bench.perform(bench.slack.send(delivery(say, thread="1767406600.000100"), Known(now=0.0)))

    (accepted,) = bench.simulator.sent
    assert outcome == Sent(ids=tuple(accepted.id.split(",")))
    assert accepted.method == "files.completeUploadExternal"
    assert accepted.text == "two files"
    assert accepted.body["thread_ts"] == "1767406600.000100"
    assert [file.content for file in bench.simulator.files.values()] == [b"first", b"second"]
    assert [file.name for file in bench.simulator.files.values()] == ["a.txt", "b.txt"]


def test_only_the_last_step_of_an_upload_is_visible(bench: Any, delivery: Deliver) -> None:
    say = Say(message=Message(attachments=(Attachment(kind="file", media=bench.keep("r1", b"first", "a.txt")),)))

    bench.perform(bench.slack.send(delivery(say), Known(now=0.0)))

    assert [request.repeatable for request in bench.requests] == [True, True, False]
    assert bench.requests[1].auth is None


def test_files_with_buttons_are_followed_by_a_message(bench: Any, delivery: Deliver) -> None:
    files = (Attachment(kind="file", media=bench.keep("r1", b"first", "a.txt")),)
    say = Say(message=Message(text="keep it?", attachments=files, buttons=(Button(text="Yes", value="y"),)))

    outcome = bench.perform(bench.slack.send(delivery(say), Known(now=0.0)))

    assert isinstance(outcome, Sent)
    assert [(each.method, each.text) for each in bench.simulator.sent] == [
        ("files.completeUploadExternal", ""),
        ("chat.postMessage", "keep it?"),
    ]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([Response(status=500)], Retry(reason="status 500")),
        ([Response(body=b"garbage")], Retry(reason="status 200, but not an answer of the Web API")),
        ([wire.json_response({"ok": True})], Retry(reason="files.getUploadURLExternal gave no address")),
        (
            [wire.json_response({"ok": False, "error": "missing_scope", "needed": "files:write"})],
            Refused(reason="missing_scope (needs files:write)", scope="account"),
        ),
        ([TICKET, Response(status=400)], Refused(reason="status 400")),
        ([TICKET, Response(status=503)], Retry(reason="status 503")),
        (
            [TICKET, UPLOADED, Response(body=b"garbage")],
            Unsure(reason="status 200, but not an answer of the Web API"),
        ),
        (
            [TICKET, UPLOADED, wire.json_response({"ok": False, "error": "not_in_channel"})],
            Refused(reason="not_in_channel", scope="conversation"),
        ),
        ([TICKET, UPLOADED, wire.json_response({"ok": True, "files": []})], Sent(ids=("F1",))),
    ],
)
def test_every_answer_to_an_upload_ends_in_an_outcome(
    slack: Slack, delivery: Deliver, answers: list[Response], outcome: Any
) -> None:
    say = delivery(Say(message=Message(text="look", attachments=(PICTURE,))))

    assert wire.run(slack.send(say, Known(now=0.0)), *answers) == outcome


def test_an_upload_without_an_answer_is_left_to_the_client(slack: Slack, delivery: Deliver) -> None:
    say = delivery(Say(message=Message(attachments=(PICTURE,))))

    with pytest.raises(NoAnswer):
        wire.run(slack.send(say, Known(now=0.0)), TICKET, NoAnswer("timeout", sent=True))


def test_a_file_is_fetched_with_the_bots_token_into_the_media_store(slack: Slack, known: Known) -> None:
    exchange = slack.fetch(FILE, known)

    request = next(exchange)

    assert isinstance(request, Http)
    assert (request.method, request.url, request.into) == ("GET", FILE.url, "media")
    assert request.auth == Credential(name="bot_token")
    response = Response(headers={"content-type": "image/png"}, media=MEDIA)
    assert wire.run(slack.fetch(FILE, known), response) == Media(
        ref=MEDIA.ref, size=12, mime="image/png", name="plan.png"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://files.slack.com/a",
        "https://files.slack.com.evil.org/a",
        "https://files.slack.com@evil.org/a",
        "https://evil.org\\@files.slack.com/a",
        "https://files.slack.com:444/a",
        "https://evil.org/",
        "https://[",
        "file:///etc/passwd",
    ],
)
def test_the_token_goes_to_nobody_but_slack(slack: Slack, known: Known, url: str) -> None:
    foreign = Attachment(kind="file", url=url)

    with pytest.raises(MediaRefused, match="with Slack"):
        wire.run(slack.fetch(foreign, known))


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(headers={"content-type": "text/html; charset=utf-8"}, media=MEDIA), "files:read"),
        (Response(status=404), "404"),
        (Response(status=302), "302"),
        (Response(headers={"content-type": "image/png"}), "no bytes"),
    ],
)
def test_what_is_not_the_file_is_refused(slack: Slack, known: Known, response: Response, reason: str) -> None:
    with pytest.raises(MediaRefused, match=reason):
        wire.run(slack.fetch(FILE, known), response)


def test_a_page_that_was_shared_as_a_file_is_no_login_page(slack: Slack, known: Known) -> None:
    page = Attachment(kind="file", url=FILE.url, name="a.html", mime="text/html")

    media = wire.run(slack.fetch(page, known), Response(headers={"content-type": "text/html"}, media=MEDIA))

    assert media.mime == "text/html"


def test_a_file_of_slack_connect_is_looked_up_first(slack: Slack, known: Known) -> None:
    shared = Attachment(kind="file", id="F9", value={"file_access": "check_file_info"})
    answer = wire.json_response(
        {
            "ok": True,
            "file": {"id": "F9", "name": "a.pdf", "mimetype": "application/pdf", "url_private": FILE.url},
        }
    )

    media = wire.run(slack.fetch(shared, known), answer, Response(media=MEDIA))

    assert (media.name, media.mime) == ("a.pdf", "application/pdf")


@pytest.mark.parametrize(
    "answer", [Response(status=500), wire.json_response({"ok": True}), wire.json_response({"ok": False, "error": "x"})]
)
def test_a_file_of_slack_connect_that_is_not_found_is_refused(slack: Slack, known: Known, answer: Response) -> None:
    shared = Attachment(kind="file", id="F9", value={"file_access": "check_file_info"})

    with pytest.raises(MediaRefused, match=r"files\.info"):
        wire.run(slack.fetch(shared, known), answer)


def test_a_file_shared_on_the_simulator_comes_back(bench: Any, known: Known) -> None:
    request = bench.simulator.shared("notes.txt", b"some notes", mime="text/plain", text="mine")
    (event,) = bench.slack.parse(bench.slack.verify(request, known), known).events

    media = bench.perform(bench.slack.fetch(event.attachments[0], known))

    assert event.text == "mine"
    assert (media.name, media.mime, media.size) == ("notes.txt", "text/plain", 10)
