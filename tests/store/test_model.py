"""The store against a model of it: nothing lost, nothing twice, order kept, whatever happens in whatever order."""

import asyncio
import dataclasses
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dragoman.errors import LostLease
from dragoman.model import Delivery
from dragoman.store.base import Accepted, Claim, Decision, Later, Parked, Pause, Settled

if TYPE_CHECKING:
    from tests.store.conftest import MakeLine

T = TypeVar("T")
R = TypeVar("R")

CONVERSATIONS: Final = ("c0", "c1", "c2")
LEASE: Final = 30.0
SEND_LEASE: Final = 15.0
CRASHES: Final = 3
ERRORS: Final = 5
SOON: Final = 0.01
"""Seconds for which an order stands."""
SENT: Final = Settled(ids=("p1",))
DECISIONS: Final[tuple[Decision, ...]] = (
    SENT,
    Later(after=0, reason="503"),
    Later(after=20, reason="429", attempted=False),
    Pause(after=60, reason="401"),
    Parked(reason="refused"),
)


def said(replies: int) -> list[str]:
    return [f"reply {number}" for number in range(replies)]


async def together(work: Coroutine[Any, Any, T], order: Coroutine[Any, Any, R]) -> tuple[T, R]:
    """Do something while an order stands; returns what came of both."""
    ordered = asyncio.create_task(order)
    await asyncio.sleep(0)
    return await work, await ordered


@dataclasses.dataclass
class Message:
    """What the model knows of an accepted event."""

    number: int
    key: str
    status: str = "waiting"
    started: int = 0
    errors: int = 0


@dataclasses.dataclass
class Reply:
    """What the model knows of a committed reply."""

    key: str
    event: int
    state: str = "pending"
    committed_at: float = 0.0
    taken_at: float = 0.0
    fence: int = 0


class Machine(RuleBasedStateMachine):
    """Does what gateways, workers and senders do, in any order, and compares."""

    make_line: ClassVar["MakeLine"]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.line = type(self).make_line(self.folder)
        self.messages: dict[str, list[Message]] = defaultdict(list)
        self.lanes: dict[str, list[Reply]] = defaultdict(list)
        self.claims: list[Claim] = []
        self.current: dict[str, tuple[int, float]] = {}
        self.deliveries: list[Delivery] = []
        self.committed: dict[str, list[int]] = defaultdict(list)
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.paused_until = 0.0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.run(self.line.open())

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.run(self.line.store.close())
            self.run(self.line.database.drop())
            self.runner.close()
            shutil.rmtree(self.folder)

    # What the model knows

    def head(self, conversation: str) -> Message | None:
        return next((message for message in self.messages[conversation] if message.status == "waiting"), None)

    def lane_head(self, conversation: str) -> Reply | None:
        return next((reply for reply in self.lanes[conversation] if reply.state in {"pending", "sending"}), None)

    def is_current(self, claim: Claim) -> bool:
        return self.current.get(claim.conversation, (0, 0.0))[0] == claim.fence

    def reply_of(self, delivery: Delivery) -> Reply:
        return next(reply for reply in self.lanes[delivery.conversation] if reply.key == delivery.key)

    # What gateways do

    @rule(number=st.integers(0, 11))
    def accept(self, number: int) -> None:
        conversation, key = CONVERSATIONS[number % 3], f"k{number}"
        self.note_accepted(conversation, key, self.run(self.line.accept(conversation, key)))

    def note_accepted(self, conversation: str, key: str, accepted: Accepted) -> None:
        known = next((message for message in self.messages[conversation] if message.key == key), None)
        assert accepted.duplicate == (known is not None)
        if known is None:
            self.messages[conversation].append(Message(accepted.id, key))
        else:
            assert accepted.id == known.number

    @rule(number=st.integers(0, 11), limit=st.integers(1, 3))
    def accept_what_is_ordered(self, number: int, limit: int) -> None:
        """Accept while a worker waits for something to do."""
        conversation, key = CONVERSATIONS[number % 3], f"k{number}"
        accepting, claiming = self.line.accept(conversation, key), self.line.store.claim(limit, SOON)

        accepted, claims = self.run(together(accepting, claiming))

        assert len(claims) <= limit
        self.note_accepted(conversation, key, accepted)
        rest = self.run(self.line.store.claim(3))  # which of the two had it first may differ from run to run
        self.note_claimed(sorted([*claims, *rest], key=lambda claim: claim.conversation), 3)

    # What workers do

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        self.note_claimed(self.run(self.line.store.claim(limit)), limit)

    def note_claimed(self, claims: Sequence[Claim], limit: int) -> None:
        assert len(claims) <= limit
        self.note_parked()
        for claim in claims:
            head = self.head(claim.conversation)
            assert head is not None
            assert [stored.id for stored in claim.events] == [head.number]
            assert self.current.get(claim.conversation, (0, 0.0))[1] <= self.line.clock()
            head.started += 1
            self.current[claim.conversation] = (claim.fence, self.line.clock() + LEASE)
            self.claims.append(claim)

    def note_parked(self) -> None:
        """Learn which events claiming parked: only those that were in flight at three crashes."""
        for conversation in CONVERSATIONS:
            head = self.head(conversation)
            if head is not None and self.status(head) == "parked":
                assert head.started >= CRASHES
                head.status = "parked"
                del self.current[conversation]

    def status(self, message: Message) -> str:
        return self.run(self.line.store.reader.status(message.number))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), replies=st.integers(0, 2))
    def commit(self, data: st.DataObject, replies: int) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        if not self.is_current(claim):
            with pytest.raises(LostLease):
                self.run(self.line.commit(claim, "late"))
            return

        self.commit_current(claim, replies)

    @precondition(lambda self: any(map(self.is_current, self.claims)))
    @rule(data=st.data(), replies=st.integers(0, 2), limit=st.integers(1, 3))
    def commit_what_is_ordered(self, data: st.DataObject, replies: int, limit: int) -> None:
        """Commit while a sender waits for something to send."""
        claim = data.draw(st.sampled_from(list(filter(self.is_current, self.claims))))
        committing = self.line.commit(claim, *said(replies))

        _, deliveries = self.run(together(committing, self.line.store.take(limit, (), SOON)))

        assert len(deliveries) <= limit
        self.note_committed(claim, replies)
        rest = self.run(self.line.store.take(3))
        self.note_taken(sorted([*deliveries, *rest], key=lambda delivery: delivery.conversation), 3)

    @rule(replies=st.integers(1, 2))
    def handle_all_that_can_be_claimed(self, replies: int) -> None:
        """Do what a worker does on a good day, so that the outbox fills."""
        self.claim(3)
        for claim in filter(self.is_current, list(self.claims)):
            self.commit_current(claim, replies)

    def commit_current(self, claim: Claim, replies: int) -> None:
        self.run(self.line.commit(claim, *said(replies)))
        self.note_committed(claim, replies)

    def note_committed(self, claim: Claim, replies: int) -> None:
        head = self.head(claim.conversation)
        assert head is not None
        assert claim.events[0].id == head.number
        head.status = "done"
        self.committed[claim.conversation].append(head.number)
        del self.current[claim.conversation]
        now, turn = self.line.clock(), claim.events[0].turn
        self.lanes[claim.conversation] += [Reply(f"{turn}:{i}", head.number, committed_at=now) for i in range(replies)]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), after=st.sampled_from([0.0, 5.0, 400.0]))
    def retry(self, data: st.DataObject, after: float) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        head = self.head(claim.conversation)
        if not self.is_current(claim):
            with pytest.raises(LostLease):
                self.run(self.line.store.retry(claim, after, "ValueError"))
            return

        parked = self.run(self.line.store.retry(claim, after, "ValueError"))

        assert head is not None
        head.errors += 1
        head.started -= 1
        assert parked == (head.errors == ERRORS)
        head.status = "parked" if parked else "waiting"
        del self.current[claim.conversation]

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))

        renewed = self.run(self.line.store.renew(claim))

        assert renewed == self.is_current(claim)
        if renewed:
            self.current[claim.conversation] = (claim.fence, self.line.clock() + LEASE)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))

        self.run(self.line.store.release(claim))

        head = self.head(claim.conversation)
        if head is not None and self.is_current(claim):
            head.started -= 1
            del self.current[claim.conversation]

    # What senders do

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        self.note_taken(self.run(self.line.store.take(limit)), limit)

    def note_taken(self, deliveries: Sequence[Delivery], limit: int) -> None:
        assert len(deliveries) <= limit
        assert not deliveries or self.paused_until <= self.line.clock()
        for delivery in deliveries:
            head = self.lane_head(delivery.conversation)
            assert head is not None
            assert (head.key, head.state) == (delivery.key, "pending")
            head.state, head.fence, head.taken_at = "sending", delivery.fence, self.line.clock()
            self.deliveries.append(delivery)

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data(), decision=st.sampled_from(DECISIONS), pace=st.sampled_from([0.0, 1.0]))
    def settle(self, data: st.DataObject, decision: Decision, pace: float) -> None:
        self.settle_one(data.draw(st.sampled_from(self.deliveries)), decision, pace)

    @rule(decision=st.sampled_from(DECISIONS))
    def send_all_that_can_be_taken(self, decision: Decision) -> None:
        """Do what a sender does, so that lanes move on."""
        before = len(self.deliveries)
        self.take(3)
        for delivery in self.deliveries[before:]:
            self.settle_one(delivery, decision)

    def settle_one(self, delivery: Delivery, decision: Decision, pace: float = 0.0) -> None:
        reply = self.reply_of(delivery)
        mine = reply.state == "sending" and reply.fence == delivery.fence

        self.run(self.line.store.settle(delivery, decision, pace))

        if not mine:
            return
        reply.state = {Settled: "sent", Parked: "parked"}.get(type(decision), "pending")
        if isinstance(decision, Pause):
            self.paused_until = self.line.clock() + decision.after
        if reply.state == "sent":
            assert reply.key not in self.sent[delivery.conversation]
            self.sent[delivery.conversation].append(reply.key)

    @rule()
    def resume(self) -> None:
        self.run(self.line.store.resume("acme"))
        self.paused_until = 0.0

    @rule()
    def sweep(self) -> None:
        self.run(self.line.store.sweep())
        self.note_interrupted(self.line.clock() - SEND_LEASE)

    # What happens to all of them

    @rule(seconds=st.sampled_from([1.0, 16.0, 31.0, 400.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.line.clock.advance(seconds)

    @rule()
    def crash(self) -> None:
        self.run(self.line.crash())
        for conversation, (fence, _) in self.current.items():
            self.current[conversation] = (fence, 0.0)
        self.note_interrupted(self.line.clock())

    def note_interrupted(self, taken_until: float) -> None:
        """Know of sends that nobody finished: sent again while they are fresh, else held."""
        for lane in self.lanes.values():
            for reply in lane:
                if reply.state == "sending" and reply.taken_at <= taken_until:
                    reply.state = "pending" if self.line.clock() < reply.committed_at + 600 else "parked"

    # What always holds

    @invariant()
    def turns_are_committed_in_order_and_once(self) -> None:
        for conversation, numbers in self.committed.items():
            accepted = [message.number for message in self.messages[conversation] if message.number in numbers]
            assert numbers == accepted

    @invariant()
    def replies_are_sent_in_order_and_once(self) -> None:
        for conversation, keys in self.sent.items():
            assert keys == [reply.key for reply in self.lanes[conversation] if reply.key in keys]

    def finish(self) -> None:
        """Let everything come to its end, and compare what the store says with what the model knows."""
        steps = 0
        while self.is_anything_open():
            self.step_to_the_end()
            steps += 1
            assert steps < 40
        for message in (message for messages in self.messages.values() for message in messages):
            assert message.status in {"done", "parked"}
            assert self.status(message) == message.status
            self.compare_replies(message)

    def is_anything_open(self) -> bool:
        return any(self.head(conversation) or self.lane_head(conversation) for conversation in CONVERSATIONS)

    def step_to_the_end(self) -> None:
        self.line.clock.advance(401)
        self.resume()
        self.sweep()
        self.claim(3)
        self.take(3)
        for claim in filter(self.is_current, list(self.claims)):
            self.commit_current(claim, 0)
        for delivery in self.deliveries:
            self.settle_one(delivery, SENT)
        self.claims, self.deliveries = [], []

    def compare_replies(self, message: Message) -> None:
        replies = self.run(self.line.store.replies(message.number)) or ()
        known = [reply for lane in self.lanes.values() for reply in lane if reply.event == message.number]
        assert all(reply.state in {"sent", "parked"} for reply in known)
        assert [reply.key for reply in replies] == [reply.key for reply in known]


@pytest.mark.timeout(600)  # half a minute of computing, in company and beside other work
def test_the_store_keeps_to_the_model(make_line: "MakeLine") -> None:
    class OnThisStore(Machine):
        pass

    OnThisStore.make_line = staticmethod(make_line)
    # A failure is told as it was found: shrinking it over a real file takes minutes (Phase.shrink does it).
    examples = make_line(Path()).database.examples
    settings = hypothesis.settings(max_examples=examples, stateful_step_count=50, phases=[hypothesis.Phase.generate])
    run_state_machine_as_test(OnThisStore, settings=settings)
