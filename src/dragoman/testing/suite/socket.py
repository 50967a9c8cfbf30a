"""That a session takes whatever comes, acknowledges only what it handed over, and tells no secret."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from dragoman.adapter import Call, Dial, Emit, Halt, Keep, Known, Redial, Send, Step
from dragoman.errors import DragomanError
from dragoman.testing.drive import drive
from dragoman.testing.suite.secrecy import SecrecyTests
from dragoman.testing.suite.sending import MOST, answers
from dragoman.testing.suite.totality import JSON, PROFILE, mutated
from dragoman.wire import Frame

STEPS: Final = (Send, Emit, Call, Keep, Redial, Halt)
CODES: Final = (1000, 1001, 1005, 1006, 1009, 1011, 4000, 4004, 4999)
FRAMES: Final = st.text(max_size=100) | st.binary(max_size=100) | JSON.map(json.dumps)


class SocketTests(SecrecyTests):
    """Where an account receives by a socket."""

    @PROFILE
    @given(frames=st.lists(FRAMES, min_size=1, max_size=4))
    def test_a_session_takes_any_frames(self, frames: list[str | bytes]) -> None:
        """What is not documented is handed over as malformed, or left out."""
        self.talk(*(Frame(data=data) for data in frames))

    @PROFILE
    @given(data=st.data())
    def test_a_session_takes_a_genuine_frame_with_any_part_replaced(self, data: st.DataObject) -> None:
        """Platforms change; a field of another type, or none, is not the end."""
        frame = data.draw(st.sampled_from(list(self.frames())))
        self.talk(_altered(data, frame))

    def test_a_session_takes_time_and_closing_at_any_moment(self) -> None:
        """Before the first frame and after the last."""
        for frames in ([], self.frames()):
            for code in CODES:
                session = self.adapter.session(self.known)
                self.steps(session.opened(self.known))
                for frame in frames:
                    self.steps(session.received(frame, self.known))
                self.steps(session.tick(self.later()))
                self.steps(session.closed(code, "any reason", self.later()))

    def test_every_genuine_frame_wants_a_turn(self) -> None:
        """Nothing that somebody said to the bot goes under."""
        for frame in self.frames():
            events = [event for step in self.talk(frame) if isinstance(step, Emit) for event in step.receipt.events]
            assert any(event.wants_turn for event in events), f"no turn for {frame.data[:80]!r}"

    def test_a_repeated_frame_brings_the_same_keys(self) -> None:
        """A platform that was not acknowledged says it again, on another socket and later."""
        for frame in self.frames():
            assert _names(self.talk(frame)) == _names(self.talk(frame, known=self.later()))

    def test_an_acknowledgement_stands_behind_what_it_acknowledges(self) -> None:
        """Steps run in order: one that stood before would leave before anything is stored."""
        for frame in self.frames():
            kinds = [type(step) for step in self.talk(frame) if isinstance(step, Send | Emit)]
            assert kinds[:1] == [Emit], f"the answer stands before the event of {frame.data[:80]!r}"

    def test_every_answer_to_a_dial_is_an_address_a_halt_or_a_known_error(self) -> None:
        """Or one bad answer would look like a bug of the adapter's."""
        for answer in answers():
            with contextlib.suppress(DragomanError):
                found = drive(self.adapter.dial(self.known), answer, MOST).result
                assert isinstance(found, Dial | Halt), f"{answer!r}: {found!r}"

    def test_neither_dialling_nor_a_step_tells_a_secret(self) -> None:
        """The address alone may hold one, and it hides it."""
        for answer in answers(200, 401):
            with contextlib.suppress(DragomanError):
                driven = drive(self.adapter.dial(self.known), answer, MOST)
                self.hides("a dial", repr(driven.requests), repr(driven.result))
        for frame in self.frames():
            self.hides("a step", *(repr(step) for step in self.talk(frame)))

    def test_the_connection_has_one_name_in_every_account_of_the_same_bot(self) -> None:
        """By it the replicas agree who has the socket; it is stored and shown, so it tells no secret."""
        twin = dataclasses.replace(self.adapter, account="another-name")
        assert self.adapter.connection()
        assert self.adapter.connection() == twin.connection()
        self.hides("the connection's name", self.adapter.connection())

    def talk(self, *frames: Frame, known: Known | None = None) -> list[Step]:
        """Return what a new session wants done about frames, beside what it does by itself."""
        session = self.adapter.session(known or self.known)
        self.steps(session.opened(known or self.known))
        return [step for frame in frames for step in self.steps(session.received(frame, known or self.known))]

    def steps(self, steps: Iterable[Step]) -> list[Step]:
        """Return steps as a list, which they must be."""
        found = list(steps)
        assert all(isinstance(step, STEPS) for step in found), f"no steps: {found!r}"
        return found


def _names(steps: Iterable[Step]) -> list[tuple[str, str]]:
    return [(event.kind, event.key) for step in steps if isinstance(step, Emit) for event in step.receipt.events]


def _altered(data: st.DataObject, frame: Frame) -> Frame:
    if isinstance(frame.data, bytes):
        return Frame(data=mutated(data, frame.data))
    return Frame(data=mutated(data, frame.data.encode()).decode(errors="replace"))
