"""Actions as calls of the Web API, and what each answer means."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dragoman import wire
from dragoman.adapter import Known
from dragoman.adapters.slack import Slack
from dragoman.errors import NoAnswer
from dragoman.model import Attachment, Button, Delete, Delivery, Edit, Message, React, Say, Typing
from dragoman.testing.simulators.slack import BOT
from dragoman.wire import Credential, Exchange, Http, Outcome, Refused, Response, Retry, Sent, Unsure

Deliver = Callable[..., Delivery]
HELLO = Say(message=Message(text="hello"))
TICKET = {"response_url": "https://hooks.slack.com/commands/T1/2/3", "user": "U1"}
OUTSIDE = wire.json_response({"ok": False, "error": "not_in_channel"})


def asked(exchange: Exchange[Outcome]) -> Http:
    request = next(exchange)
    assert isinstance(request, Http)
    return request


def settled(slack: Slack, delivery: Delivery, *answers: Response | Exception) -> Outcome:
    return wire.run(slack.send(delivery, Known(now=0.0)), *answers)


def test_a_message_is_posted_with_the_bots_token(slack: Slack, known: Known, delivery: Deliver) -> None:
    request = asked(slack.send(delivery(HELLO, thread="1767406600.000100"), known))

    assert request == Http(
        method="POST",
        url="https://slack.com/api/chat.postMessage",
        headers={"content-type": "application/json; charset=utf-8"},
        json={"channel": "C1", "text": "hello", "thread_ts": "1767406600.000100", "unfurl_links": False},
        auth=Credential(name="bot_token"),
        lane="chat.postMessage",
    )


def test_a_message_outside_threads_names_none(slack: Slack, known: Known, delivery: Deliver) -> None:
    request = asked(slack.send(delivery(HELLO), known))

    assert request.json is not None
    assert "thread_ts" not in request.json


def test_a_posted_message_is_sent_under_its_ts(slack: Slack, delivery: Deliver) -> None:
    answer = wire.json_response({"ok": True, "channel": "C1", "ts": "1767406614.000100"})

    assert settled(slack, delivery(HELLO), answer) == Sent(ids=("1767406614.000100",))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("invalid_auth", Refused(reason="invalid_auth", scope="account")),
        ("token_revoked", Refused(reason="token_revoked", scope="account")),
        ("account_inactive", Refused(reason="account_inactive", scope="account")),
        ("token_expired", Refused(reason="token_expired", scope="account")),
        ("not_authed", Refused(reason="not_authed", scope="account")),
        ("not_in_channel", Refused(reason="not_in_channel", scope="conversation")),
        ("channel_not_found", Refused(reason="channel_not_found", scope="conversation")),
        ("is_archived", Refused(reason="is_archived", scope="conversation")),
        ("msg_too_long", Refused(reason="msg_too_long")),
        ("no_text", Refused(reason="no_text")),
        ("of_tomorrow", Refused(reason="of_tomorrow")),
        ("internal_error", Retry(reason="internal_error")),
        ("fatal_error", Retry(reason="fatal_error")),
        ("service_unavailable", Retry(reason="service_unavailable")),
        ("request_timeout", Retry(reason="request_timeout")),
        ("ratelimited", Retry(reason="ratelimited", after=5.0, scope="method")),
    ],
)
def test_each_error_has_its_meaning(slack: Slack, delivery: Deliver, error: str, outcome: Outcome) -> None:
    assert settled(slack, delivery(HELLO), wire.json_response({"ok": False, "error": error})) == outcome


def test_a_missing_scope_is_named(slack: Slack, delivery: Deliver) -> None:
    answer = wire.json_response({"ok": False, "error": "missing_scope", "needed": "chat:write"})

    assert settled(slack, delivery(HELLO), answer) == Refused(
        reason="missing_scope (needs chat:write)", scope="account"
    )


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), ("0.5", 1.0), ("0", 1.0), ("999999", 3600.0), ("soon", 5.0), ("-3", 5.0), ("nan", 5.0), ("", 5.0)],
)
def test_a_limited_method_waits_as_long_as_it_is_told(
    slack: Slack, delivery: Deliver, header: str, seconds: float
) -> None:
    answer = Response(status=429, headers={"retry-after": header})

    assert settled(slack, delivery(HELLO), answer) == Retry(reason="ratelimited", after=seconds, scope="method")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, Refused(reason="status 401", scope="account")),
        (403, Refused(reason="status 403", scope="account")),
        (404, Refused(reason="status 404")),
        (302, Refused(reason="status 302")),
        (408, Retry(reason="status 408")),
        (500, Retry(reason="status 500")),
        (503, Retry(reason="status 503")),
    ],
)
def test_each_status_has_its_meaning(slack: Slack, delivery: Deliver, status: int, outcome: Outcome) -> None:
    assert settled(slack, delivery(HELLO), Response(status=status, body=b"<html>")) == outcome


@pytest.mark.parametrize("body", [b"", b"<html>login</html>", b"[]", b"{}", b'{"ok":"yes"}', b"\xff", b'{"ok":tru'])
def test_garbage_with_status_200_is_unsure(slack: Slack, delivery: Deliver, body: bytes) -> None:
    assert isinstance(settled(slack, delivery(HELLO), Response(body=body)), Unsure)


def test_a_post_without_an_answer_is_left_to_the_client(slack: Slack, known: Known, delivery: Deliver) -> None:
    assert asked(slack.send(delivery(HELLO), known)).repeatable is False
    with pytest.raises(NoAnswer):
        settled(slack, delivery(HELLO), NoAnswer("timeout", sent=True))


def test_buttons_become_blocks_with_ids_of_their_own(slack: Slack, known: Known, delivery: Deliver) -> None:
    buttons = (Button(text="Yes", value="y"), Button(text="No", value="y"), Button(text="Docs", url="https://e.org"))

    request = asked(slack.send(delivery(Say(message=Message(text="Sure?", buttons=buttons))), known))

    assert request.json is not None
    section, row = request.json["blocks"]
    assert request.json["text"] == "Sure?"
    assert section == {"type": "section", "text": {"type": "mrkdwn", "text": "Sure?"}}
    assert [element["action_id"] for element in row["elements"]] == ["button-0", "button-1", "link-2"]
    assert row["elements"][0]["value"] == "y"
    assert row["elements"][2]["url"] == "https://e.org"


def test_many_buttons_and_long_texts_keep_within_the_limits_of_blocks(bench: Any, delivery: Deliver) -> None:
    message = Message(
        text="word " * 790,
        buttons=tuple(Button(text=f"choice {number} " * 10, value=str(number)) for number in range(30)),
    )

    outcome = bench.perform(bench.slack.send(delivery(Say(message=message)), Known(now=0.0)))

    assert isinstance(outcome, Sent)
    blocks = bench.simulator.sent[-1].body["blocks"]
    assert [block["type"] for block in blocks] == ["section", "section", "actions", "actions"]


def test_an_attachment_that_is_an_address_is_written_into_the_text(bench: Any, delivery: Deliver) -> None:
    message = Message(
        text="see",
        attachments=(
            Attachment(kind="link", url="https://e.org/a", name="a [draft]"),
            Attachment(kind="location", name="Office", latitude=59.9, longitude=10.7),
        ),
    )

    bench.perform(bench.slack.send(delivery(Say(message=message)), Known(now=0.0)))

    text = bench.simulator.sent[-1].text
    assert text.startswith("see\n")
    assert "https://e.org/a" in text
    assert "Office 59.9, 10.7" in text


def test_rich_text_is_written_in_slacks_dialect(bench: Any, delivery: Deliver) -> None:
    bench.perform(bench.slack.send(delivery(Say(message=Message(text="**bold** & 1 < 2"))), Known(now=0.0)))

    assert bench.simulator.sent[-1].text == "*bold* &amp; 1 &lt; 2"


def test_a_command_is_answered_privately_where_the_bot_is_no_member(slack: Slack, delivery: Deliver) -> None:
    exchange = slack.send(delivery(HELLO, ticket=TICKET), Known(now=0.0))
    next(exchange)

    request = exchange.send(OUTSIDE)

    assert request == Http(
        method="POST",
        url=TICKET["response_url"],
        headers={"content-type": "application/json; charset=utf-8"},
        json={"response_type": "ephemeral", "replace_original": False, "text": "hello"},
        lane="response_url",
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/commands/1",
        "https://hooks.slack.com.evil.org/commands/1",
        "https://hooks.slack.com@evil.org/commands/1",
        "https://evil.org/https://hooks.slack.com/",
        "https://[/",
        17,
    ],
)
def test_a_response_url_that_is_not_slacks_is_never_called(slack: Slack, delivery: Deliver, url: Any) -> None:
    outcome = settled(slack, delivery(HELLO, ticket={"response_url": url}), OUTSIDE)

    assert outcome == Refused(reason="not_in_channel", scope="conversation")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (wire.text_response("ok"), Sent()),
        (wire.text_response("expired_url", 404), Refused(reason="response_url: status 404", scope="conversation")),
        (wire.text_response("trouble", 500), Retry(reason="status 500")),
    ],
)
def test_the_answer_of_a_response_url_is_judged(
    slack: Slack, delivery: Deliver, answer: Response, outcome: Outcome
) -> None:
    assert settled(slack, delivery(HELLO, ticket=TICKET), OUTSIDE, answer) == outcome


def test_other_refusals_are_not_answered_elsewhere(slack: Slack, delivery: Deliver) -> None:
    answer = wire.json_response({"ok": False, "error": "is_archived"})

    assert settled(slack, delivery(HELLO, ticket=TICKET), answer) == Refused(reason="is_archived", scope="conversation")


def test_an_edit_replaces_the_text_and_removes_old_buttons(slack: Slack, known: Known, delivery: Deliver) -> None:
    action = Edit(message_id="1767406614.000100", message=Message(text="better"))

    request = asked(slack.send(delivery(action), known))

    assert request.url.endswith("/chat.update")
    assert request.repeatable
    assert request.json == {"channel": "C1", "ts": "1767406614.000100", "text": "better", "blocks": []}


def test_what_was_deleted_already_is_deleted(slack: Slack, known: Known, delivery: Deliver) -> None:
    gone = delivery(Delete(message_id="1767406614.000100"))
    answer = wire.json_response({"ok": False, "error": "message_not_found"})

    assert asked(slack.send(gone, known)).url.endswith("/chat.delete")
    assert settled(slack, gone, answer) == Sent()
    assert settled(slack, delivery(Edit(message_id="1", message=Message(text="x"))), answer) == Refused(
        reason="message_not_found"
    )


@pytest.mark.parametrize(
    ("emoji", "name"),
    [("thumbsup", "thumbsup"), (":tada:", "tada"), ("👍", "+1"), ("❤\ufe0f", "heart"), ("🫠", "🫠")],
)
def test_a_reaction_is_named_as_slack_names_it(
    slack: Slack, known: Known, delivery: Deliver, emoji: str, name: str
) -> None:
    request = asked(slack.send(delivery(React(message_id="1767406614.000100", emoji=emoji)), known))

    assert request.json == {"channel": "C1", "timestamp": "1767406614.000100", "name": name}


def test_a_reaction_that_is_there_already_is_a_success(slack: Slack, delivery: Deliver) -> None:
    react = delivery(React(message_id="1767406614.000100", emoji="tada"))

    assert settled(slack, react, wire.json_response({"ok": False, "error": "already_reacted"})) == Sent()


def test_an_action_that_slack_does_not_have_is_refused(slack: Slack, delivery: Deliver) -> None:
    assert settled(slack, delivery(Typing())) == Refused(reason="Slack has no action typing")
    assert "typing" not in slack.capabilities.actions


def test_the_whole_life_of_a_message_on_the_simulator(bench: Any, delivery: Deliver) -> None:
    known = Known(now=0.0)
    sent = bench.perform(bench.slack.send(delivery(HELLO), known))
    (ts,) = sent.ids

    for action in (
        Edit(message_id=ts, message=Message(text="hello again", buttons=(Button(text="Ok", value="ok"),))),
        React(message_id=ts, emoji="👀"),
        React(message_id=ts, emoji="👀"),
        Delete(message_id=ts),
        Delete(message_id=ts),
    ):
        assert isinstance(bench.perform(bench.slack.send(delivery(action), known)), Sent)

    methods = [accepted.method for accepted in bench.simulator.sent]
    assert methods == ["chat.postMessage", "chat.update", "reactions.add", "chat.delete"]


def test_a_command_on_the_simulator_is_answered_by_its_response_url(bench: Any, known: Known) -> None:
    bench.simulator.unavailable["C9"] = "not_in_channel"
    request = bench.simulator.slash("/weather", "Paris", channel="C9")
    (event,) = bench.slack.parse(bench.slack.verify(request, known), known).events
    answer = Delivery(id=1, key="t:0:0", action=HELLO, address=event.address, conversation=event.conversation)

    assert bench.perform(bench.slack.send(answer, known)) == Sent()
    assert [(each.method, each.channel) for each in bench.simulator.sent] == [("response_url", "C9")]


def test_a_message_of_the_simulator_is_read_and_answered_in_its_thread(bench: Any, known: Known) -> None:
    request = bench.simulator.webhook("what is 1 < 2 & 3?", channel="C1")
    (event,) = bench.slack.parse(bench.slack.verify(request, known), known).events

    bench.perform(
        bench.slack.send(Delivery(id=1, key="k", action=HELLO, address=event.address, conversation="c"), known)
    )

    assert event.text == "what is 1 < 2 & 3?"
    assert event.mentions_bot
    assert event.mentions[0].id == BOT
    assert bench.simulator.sent[0].body["thread_ts"] == event.message_id


def test_pieces_of_a_long_message_fit_and_keep_files_apart_from_buttons(bench: Any) -> None:
    message = Message(
        text="word & " * 2000,
        attachments=(Attachment(kind="file", media=bench.keep("r1", b"bytes", "a.txt")),),
        buttons=(Button(text="Ok", value="ok"),),
    )

    pieces = bench.slack.split(message)
    short = bench.slack.split(msgspec.structs.replace(message, text="short"))

    assert len(pieces) > 3
    assert not any(piece.attachments and piece.buttons for piece in (*pieces, *short))
    assert [bool(piece.attachments) for piece in short] == [True, False]
    assert short[1].text == "short"
    assert pieces[0].attachments
    assert pieces[-1].buttons
