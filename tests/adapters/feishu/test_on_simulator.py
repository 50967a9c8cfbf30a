"""The adapter on the simulator: it does nothing that Feishu refuses, and gets along with what Feishu answers."""

from collections.abc import Callable
from typing import Any

import pytest

from dragoman.errors import CredentialRefused
from dragoman.model import Attachment, Button, Delete, Delivery, Edit, Event, Message, React, Say
from dragoman.testing.simulators.feishu import BOT
from dragoman.wire import Http, Outcome, Retry, Sent

Deliver = Callable[..., Delivery]


def said(bench: Any, delivery: Delivery) -> Outcome:
    outcome: Outcome = bench.perform(bench.feishu.send(delivery, None))
    return outcome


def test_the_adapter_does_nothing_that_the_simulator_refuses(bench: Any, deliver: Deliver) -> None:
    bench.simulator.unlimited()
    picture = Attachment(kind="image", media=bench.keep(b"bytes", "cat.png", "image/png"))
    file = Attachment(kind="file", media=bench.keep(b"bytes", "a.pdf", "application/pdf"))
    video = Attachment(kind="video", media=bench.keep(b"bytes", "a.mp4", "video/mp4"))
    buttons = (Button(text="Yes", value="y"), Button(text="More", url="https://example.org"))
    messages = [
        Message(text="hello"),
        Message(text="**bold** <at>"),
        Message(text="Sure?", buttons=buttons),
        Message(buttons=buttons),
        Message(attachments=(picture,)),
        Message(attachments=(file,)),
        Message(attachments=(video,)),
        Message(text="look", attachments=(picture, file)),
    ]
    outcomes = [said(bench, deliver(Say(message=message), key=str(number))) for number, message in enumerate(messages)]
    words, _, shown = (outcome.ids[0] for outcome in outcomes[:3] if isinstance(outcome, Sent))
    outcomes += [
        said(bench, deliver(Edit(message_id=words, message=Message(text="**new**")))),
        said(bench, deliver(Edit(message_id=shown, message=Message(text="new", buttons=buttons)))),
        said(bench, deliver(React(message_id=words, emoji="👍"))),
        said(bench, deliver(Delete(message_id=words))),
        said(bench, deliver(Delete(message_id=words))),
    ]

    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert bench.simulator.refused == ["messages.delete: 230011 The message was recalled."]


def test_an_edit_takes_the_buttons_off_a_card(bench: Any, deliver: Deliver) -> None:
    shown = said(bench, deliver(Say(message=Message(text="Sure?", buttons=(Button(text="Yes"),)))))
    assert isinstance(shown, Sent)

    outcome = said(bench, deliver(Edit(message_id=shown.ids[0], message=Message(text="Done"))))

    assert isinstance(outcome, Sent)
    assert (bench.simulator.sent[-1].method, bench.simulator.sent[-1].text) == ("messages.patch", "Done")


def test_the_adapter_replies_in_a_thread_and_when_it_is_gone_in_the_chat(
    bench: Any, deliver: Deliver, read: Callable[[Http], Event]
) -> None:
    asked = read(bench.simulator.asked("hello", channel="oc_1", thread="omt_1"))
    place = {"channel": "oc_1", "thread": "omt_1", **asked.address.ticket}
    said(bench, deliver(Say(message=Message(text="in the thread")), key="k1", **place))
    bench.simulator.recall(asked.message_id)
    said(bench, deliver(Say(message=Message(text="in the chat")), key="k2", **place))

    assert [(each.method, each.channel, each.body["thread_id"]) for each in bench.simulator.sent] == [
        ("reply", "oc_1", "omt_1"),
        ("messages", "oc_1", ""),
    ]


def test_the_adapter_renews_a_dead_token_by_itself(bench: Any, deliver: Deliver) -> None:
    hello = Say(message=Message(text="hello"))
    said(bench, deliver(hello, key="k1"))
    bench.simulator.expire_tokens()

    assert isinstance(said(bench, deliver(hello, key="k2")), Sent)
    assert len(bench.simulator.sent) == 2


def test_the_adapter_waits_as_long_as_it_is_told(bench: Any, deliver: Deliver) -> None:
    hello = Say(message=Message(text="hello"))
    outcomes = [said(bench, deliver(hello, key=str(number))) for number in range(3)]

    assert isinstance(outcomes[2], Retry)
    assert (outcomes[2].after, outcomes[2].scope) == (1.0, "method")


def test_a_delivery_tried_again_is_shown_once(bench: Any, deliver: Deliver) -> None:
    delivery = deliver(Say(message=Message(text="hello")))

    assert said(bench, delivery) == said(bench, delivery)
    assert len(bench.simulator.sent) == 1


def test_a_wrong_app_secret_is_refused(bench: Any, deliver: Deliver) -> None:
    bench.simulator._app_secret = "changed"

    with pytest.raises(CredentialRefused):
        said(bench, deliver(Say(message=Message(text="hello"))))


def test_the_adapter_fetches_what_a_person_sent(bench: Any, read: Callable[[Http], Event]) -> None:
    event = read(bench.simulator.shared("a.txt", b"content", mime="text/plain"))

    media = bench.perform(bench.feishu.fetch(event.attachments[0], None))

    assert (media.size, media.name) == (len(b"content"), "a.txt")


@pytest.mark.parametrize(("mime", "kind"), [("image/png", "image"), ("video/mp4", "video")])
def test_the_adapter_fetches_what_stands_beside_words(
    bench: Any, read: Callable[[Http], Event], mime: str, kind: str
) -> None:
    event = read(bench.simulator.shared("a", b"content", mime=mime, text="look", channel="oc_1"))

    media = bench.perform(bench.feishu.fetch(event.attachments[0], None))

    assert (event.text, event.attachments[0].kind, event.address.channel) == ("look", kind, "oc_1")
    assert media.size == len(b"content")


def test_the_adapter_learns_who_it_is(bench: Any) -> None:
    assert bench.perform(bench.feishu.probe(None)).me.id == BOT
