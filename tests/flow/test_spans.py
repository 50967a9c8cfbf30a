"""What is told of the stages: the same ids in every process, each attempt apart, and nothing that was not sampled."""

from typing import Any

import pytest

from dragoman.adapters.webhook import Webhook
from dragoman.engine.route import Policy
from dragoman.errors import NoAnswer
from dragoman.flow.account import Account
from dragoman.flow.traces import Span, Tracer, root_of
from dragoman.model import Address, Delivery, Event, Message, Say, Secret, Sender
from dragoman.store import stored
from dragoman.store.base import Accepted, Claim, Stored, Times
from dragoman.testing.clock import FakeClock

ACCOUNT = Account(name="web", adapter=Webhook(account="web", token=Secret("t")), policy=Policy())
EVENT = Event(
    key="m1",
    account="web",
    platform="webhook",
    conversation="web/c",
    address=Address(account="web", channel="c"),
    sender=Sender(id="u1"),
    text="a word of somebody",
)
TURN = stored.turn_id(EVENT)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Told:
    """A tracer that keeps what it tells."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.spans: list[Span] = []
        self.tracer = Tracer(self.spans.append, lambda _trace: sampled, FakeClock())

    def received(self, caller: str = "", **item: Any) -> list[Span]:
        accepted = Accepted(**{"id": 1, "duplicate": False, **item})
        self.tracer.received(ACCOUNT, [EVENT], [accepted], Times(received=1.0, authenticated=2.0, parsed=3.0), caller)
        return self.spans


def claim(fence: int, attempt: int = 1) -> Claim:
    events = (Stored(id=1, turn=TURN, event=EVENT),)
    return Claim(conversation="web/c", fence=fence, state={}, events=events, attempt=attempt, waited=5.0)


def delivery(key: str, fence: int = 1) -> Delivery:
    action = Say(message=Message(text="a word of the bot"))
    return Delivery(id=7, key=key, action=action, address=EVENT.address, conversation="web/c", fence=fence)


def test_two_processes_name_the_same_spans() -> None:
    one, two = Told().received(), Told().received()

    assert [(span.trace, span.id) for span in one] == [(span.trace, span.id) for span in two]
    assert {span.trace for span in one} == {TURN}
    assert [(span.name, span.parent) for span in one] == [
        ("receive", ""),
        ("authenticate", root_of(TURN)),
        ("parse", root_of(TURN)),
    ]


@pytest.mark.parametrize(
    ("item", "outcome"),
    [({"duplicate": True}, "duplicate"), ({"id": 0, "surplus": True}, "refused")],
    ids=["a repeat", "one that is refused and comes again"],
)
def test_what_is_not_stored_now_stands_below_the_root(item: dict[str, Any], outcome: str) -> None:
    told = Told()
    first, second = told.received(**item)[0], told.received(**item)[1]

    assert (first.name, first.parent, first.facts["dragoman.outcome"]) == ("receive", root_of(TURN), outcome)
    assert len({first.id, second.id, root_of(TURN)}) == 3


def test_each_attempt_at_a_turn_is_told_apart() -> None:
    told = Told()
    told.tracer.handled(claim(1), 10.0, "error", fault="ValueError")
    told.tracer.handled(claim(2, attempt=2), 20.0, "done", "echo")

    assert [(span.name, span.fault) for span in told.spans] == [
        ("route", ""),
        ("respond", "ValueError"),
        ("route", ""),
        ("respond", ""),
    ]
    assert len({span.id for span in told.spans}) == 4
    assert [span.began for span in told.spans if span.name == "route"] == [5.0, 15.0]


def test_a_reply_belongs_to_its_messages_trace_and_a_broadcasts_to_one_of_its_own() -> None:
    told = Told()
    for key in (f"{TURN}:0:0", "b:1:1:0:abc", "b:1:2:0:abc"):
        told.tracer.delivered(delivery(key), "webhook", "sent", 1.0)

    reply, one, two = told.spans
    assert (reply.trace, reply.parent) == (TURN, root_of(TURN))
    assert one.parent == two.parent == ""
    assert len({reply.trace, one.trace, two.trace}) == 3


async def test_calls_stand_below_the_stage_that_makes_them_and_what_is_outside_is_not_told() -> None:
    told = Told()
    with told.tracer.within("GET", {}):
        told.tracer.handling(claim(3))
    with told.tracer.within("once", {"dragoman.step": "shop/pay"}), told.tracer.within("POST", {}, "client") as call:
        call.facts["http.response.status_code"] = 200
    told.tracer.handled(claim(3), 1.0, "done")

    post, once, _, respond = told.spans
    assert (post.parent, once.parent) == (once.id, respond.id)
    assert post.facts == {"http.response.status_code": 200}


async def test_of_an_error_its_type_is_all_that_is_told() -> None:
    told = Told()
    told.tracer.delivering(delivery(f"{TURN}:0:0"))
    with pytest.raises(NoAnswer), told.tracer.within("POST", {}, "client"):
        raise NoAnswer("it said something private", sent=True)

    (span,) = told.spans
    assert (span.fault, "private" in repr(span)) == ("NoAnswer", False)


async def test_what_is_not_sampled_is_not_told() -> None:
    told = Told(sampled=False)
    told.received()
    told.tracer.handling(claim(1))
    with told.tracer.within("POST", {}):
        told.tracer.handled(claim(1), 1.0, "done")
    told.tracer.delivered(delivery(f"{TURN}:0:0"), "webhook", "sent", 1.0)

    assert told.spans == []


def test_no_span_holds_what_was_said() -> None:
    told = Told()
    told.received()
    told.tracer.handled(claim(1), 1.0, "done", "echo")
    told.tracer.delivered(delivery(f"{TURN}:0:0"), "webhook", "sent", 1.0)

    assert "a word of" not in repr(told.spans)


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (CALLER, True),
        ("cc" + CALLER[2:], True),
        ("", False),
        ("ff" + CALLER[2:], False),
        (CALLER.upper(), False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", False),
        (CALLER + "\n", False),
    ],
)
def test_a_caller_is_linked_to_when_it_says_who_it_is(header: str, known: bool) -> None:
    told = Told().received(header)

    assert told[0].caller == (("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331") if known else None)
    assert told[0].trace == TURN
