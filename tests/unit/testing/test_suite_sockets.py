"""The suite's tests of sockets: an honest session passes, and each way of being broken turns the right test red."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from dragoman import crypto, wire
from dragoman.adapter import (
    Adapter,
    Capabilities,
    Dial,
    Emit,
    Halt,
    Known,
    Mode,
    Payload,
    Receipt,
    Redial,
    Send,
    Session,
    Step,
    platform,
    setting,
)
from dragoman.errors import Malformed, NoAnswer
from dragoman.model import Address, Delivery, Event, Secret, Sender
from dragoman.testing.conformance import AdapterSuite
from dragoman.testing.suite.socket import SocketTests
from dragoman.wire import Credential, Exchange, Frame, Http, Outcome, Response, Unsure

TOKEN = "the mirror of the tower"
NOW = 1_700_000_000.0


class Flash(msgspec.Struct):
    id: str
    text: str


class Watch(Session):
    """Reads flashes, and flashes back."""

    def __init__(self, account: str, token: str) -> None:
        self.account = account
        self.token = token

    def received(self, frame: Frame, known: Known) -> Iterable[Step]:
        raw = frame.data.encode("utf-8", "surrogatepass") if isinstance(frame.data, str) else frame.data
        try:
            flash = wire.decode(raw, Flash)
        except Malformed:
            return (Emit(receipt=Receipt(malformed=(raw,))),)
        return self.answered(Emit(receipt=Receipt(events=(self.event(flash, known),))), flash)

    def answered(self, emit: Emit, flash: Flash) -> Sequence[Step]:
        return (emit, Send(frame=Frame(data=f"seen {flash.id}")))

    def event(self, flash: Flash, known: Known) -> Event:
        return Event(
            key=flash.id,
            account=self.account,
            platform="heliograph",
            conversation=f"{self.account}/tower",
            address=Address(account=self.account, channel="tower"),
            sender=Sender(id="ann"),
            text=flash.text,
        )


@platform
class Heliograph(Adapter):
    """A small honest adapter with a socket."""

    platform: ClassVar[str] = "heliograph"
    title: ClassVar[str] = "Heliograph"
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=40, modes=frozenset({"socket"}))

    token: Secret = setting("What it is aimed with.")

    def mode(self) -> Mode:
        return "socket"

    def parse(self, payload: Payload, known: Known) -> Receipt:
        raise Malformed("it has no hook")

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        yield Http(url="https://example.org/flash", auth=Credential(name="token"))
        return Unsure(reason="who knows")

    def dial(self, known: Known) -> Exchange[Dial | Halt]:
        response = yield Http(url="https://example.org/tower", auth=Credential(name="token"))
        return self.found(response)

    def found(self, response: Response) -> Dial | Halt:
        if response.status == 401:
            return Halt(reason="the token is refused")
        if response.status != 200:
            raise NoAnswer(f"status {response.status}", sent=False)
        return Dial(url=Secret(f"wss://example.org/{self.token.reveal()}"))

    def session(self, known: Known) -> Session:
        return Watch(self.account, self.token.reveal())

    def connection(self) -> str:
        return crypto.fingerprint(self.token.reveal())


class TestHeliograph(AdapterSuite):
    adapter: Adapter = Heliograph(account="tower", token=Secret(TOKEN))
    now = NOW
    webhooks = False

    def frames(self) -> Sequence[Frame]:
        return [Frame(data='{"id":"1","text":"sail"}'), Frame(data=b'{"id":"2","text":"ahoy"}')]


def session(kind: type[Watch]) -> type[Heliograph]:
    """Return a heliograph with another kind of watch."""

    def begin(self: Heliograph, _: Known) -> Session:
        return kind(self.account, self.token.reveal())

    return type(kind.__name__, (Heliograph,), {"session": begin})


class Textual(Watch):
    """Knows no bytes."""

    def received(self, frame: Frame, known: Known) -> Iterable[Step]:
        if isinstance(frame.data, bytes) and not frame.data.startswith(b"{"):
            raise TypeError("not a text")
        return super().received(frame, known)


class Trusting(Watch):
    """Believes that every flash has its id."""

    def received(self, frame: Frame, known: Known) -> Iterable[Step]:
        try:
            found = wire.decode_object(frame.data)
        except Malformed:
            return ()
        return self.answered(Emit(receipt=Receipt()), Flash(id=found["id"], text="")) if found else ()


class Hasty(Watch):
    """Answers before anything is stored."""

    def answered(self, emit: Emit, flash: Flash) -> Sequence[Step]:
        return tuple(reversed(super().answered(emit, flash)))


class Asleep(Watch):
    """Answers, and hands nothing over."""

    def answered(self, emit: Emit, flash: Flash) -> Sequence[Step]:
        return super().answered(Emit(receipt=Receipt()), flash)


class Forgetful(Watch):
    """Gives the same flash another name each time."""

    def event(self, flash: Flash, known: Known) -> Event:
        return msgspec.structs.replace(super().event(flash, known), key=f"{flash.id}/{known.nonce}")


class Picky(Watch):
    """Stumbles over a code of its peer's."""

    def closed(self, code: int, reason: str, known: Known) -> Iterable[Step]:
        return (Redial(reason={1000: "in order", 1006: "broken"}[code]),)


class Repeating(Watch):
    """Flashes its token back."""

    def answered(self, emit: Emit, flash: Flash) -> Sequence[Step]:
        return (emit, Send(frame=Frame(data=f"seen {flash.id} {self.token}")))


class Puzzled(Heliograph):
    """Takes every answer for JSON."""

    def found(self, response: Response) -> Dial | Halt:
        return Dial(url=Secret(msgspec.json.decode(response.body)["url"]))


class Outspoken(Heliograph):
    """Tells why, and too much."""

    def found(self, response: Response) -> Dial | Halt:
        return Halt(reason=f"{self.token.reveal()} is refused")


class Selfish(Heliograph):
    """Each account has a connection of its own, though the token is one."""

    def connection(self) -> str:
        return self.account


BROKEN: list[tuple[type[Heliograph], str, type[Exception]]] = [
    (session(Textual), "a_session_takes_any_frames", TypeError),
    (session(Trusting), "a_session_takes_a_genuine_frame_with_any_part_replaced", KeyError),
    (session(Picky), "a_session_takes_time_and_closing_at_any_moment", KeyError),
    (session(Asleep), "every_genuine_frame_wants_a_turn", AssertionError),
    (session(Forgetful), "a_repeated_frame_brings_the_same_keys", AssertionError),
    (session(Hasty), "an_acknowledgement_stands_behind_what_it_acknowledges", AssertionError),
    (Puzzled, "every_answer_to_a_dial_is_an_address_a_halt_or_a_known_error", msgspec.DecodeError),
    (session(Repeating), "neither_dialling_nor_a_step_tells_a_secret", AssertionError),
    (Outspoken, "neither_dialling_nor_a_step_tells_a_secret", AssertionError),
    (Selfish, "the_connection_has_one_name_in_every_account_of_the_same_bot", AssertionError),
]


@pytest.mark.parametrize(("broken", "sentence", "error"), BROKEN)
def test_a_broken_session_turns_its_test_red(broken: type[Heliograph], sentence: str, error: type[Exception]) -> None:
    suite: Any = type("TestBroken", (TestHeliograph,), {"adapter": broken(account="tower", token=Secret(TOKEN))})()
    with pytest.raises(error):
        getattr(suite, f"test_{sentence}")()


def test_every_test_of_sockets_has_been_seen_red() -> None:
    assert {name for name in vars(SocketTests) if name.startswith("test_")} == {f"test_{name}" for _, name, _ in BROKEN}


def test_an_account_without_a_socket_is_not_asked_about_one() -> None:
    class Hooked(Heliograph):
        def mode(self) -> Mode:
            return "webhook"

    suite: Any = type("Hooked", (TestHeliograph,), {"adapter": Hooked(account="tower", token=Secret(TOKEN))})

    assert suite.test_a_session_takes_any_frames is None
    assert callable(suite.test_every_answer_ends_in_an_outcome)
