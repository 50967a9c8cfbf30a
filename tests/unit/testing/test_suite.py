"""The suite for adapters: an honest one passes, and each way of being broken turns the right test red."""

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from dragoman import crypto, wire
from dragoman.adapter import Adapter, Capabilities, Known, Payload, Polled, Receipt, header, platform, setting
from dragoman.errors import Forged, Malformed, MediaRefused, NoAnswer
from dragoman.model import Address, Attachment, Delivery, Event, Media, Message, Secret, Sender
from dragoman.testing.conformance import AdapterSuite
from dragoman.testing.suite.socket import SocketTests
from dragoman.wire import Credential, Exchange, Http, Outcome, Refused, Response, Retry, Sent, Unsure

SECRET = "the secret of all pigeons"
TOKEN = "what opens the dovecote"
NOW = 1_700_000_000


class Note(msgspec.Struct):
    id: str
    text: str
    room: str
    by: str


class Landed(msgspec.Struct):
    id: str


@platform
class Pigeon(Adapter):
    """A small honest adapter: signed notes in, notes out."""

    platform: ClassVar[str] = "pigeon"
    title: ClassVar[str] = "Pigeon post"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=40, actions=frozenset({"say", "delete"}), buttons=True, media_out=True
    )

    secret: Secret = setting("What notes are signed with.")
    token: Secret = setting("What opens the dovecote.", default=Secret(TOKEN))

    def verify(self, request: Http, known: Known) -> Payload:
        at = header(request.headers, "x-pigeon-at")
        signature = header(request.headers, "x-pigeon-signature")
        if not at.isdecimal() or abs(known.now - int(at)) > 300:
            raise Forged("not of today")
        expected = [crypto.hmac_sha256_hex(each, at.encode(), request.body) for each in self.secret.candidates()]
        if not crypto.same_as_any(signature, expected):
            raise Forged("the signature is wrong")
        return Payload(body=request.body)

    def parse(self, payload: Payload, known: Known) -> Receipt:
        note = wire.decode(payload.body, Note)
        if note.by == "pigeon":
            return Receipt(ignored=("self",))
        return Receipt(events=(self.event(note, known),))

    def event(self, note: Note, known: Known) -> Event:
        return Event(
            key=note.id,
            account=self.account,
            platform=self.platform,
            conversation=self.place(note.room or "nowhere"),
            address=Address(account=self.account, channel=note.room),
            sender=Sender(id=note.by),
            message_id=note.id,
            text=note.text,
            text_as_sent=note.text,
            at=float(NOW),
        )

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        auth = Credential(name="token")
        response = yield Http(url="https://example.org/fly", json={"to": delivery.address.channel}, auth=auth)
        return self.judge(response)

    def judge(self, response: Response) -> Outcome:
        if response.status == 429 or response.status >= 500:
            return Retry(reason=f"HTTP {response.status}")
        if response.status >= 300:
            return Refused(reason=f"HTTP {response.status}", scope="account" if response.status == 401 else "message")
        with contextlib.suppress(Malformed):
            return Sent(ids=(wire.decode(response.body, Landed).id,))
        return Unsure(reason="no id")


def signed(id_: str, by: str = "ann", at: int = NOW) -> Http:
    body = msgspec.json.encode({"id": id_, "text": "coo", "room": "roof", "by": by})
    signature = crypto.hmac_sha256_hex(SECRET, str(at).encode(), body)
    headers = {"content-type": "application/json", "x-pigeon-at": str(at), "x-pigeon-signature": signature}
    return Http(url="/hooks/loft", headers=headers, body=body)


class TestPigeon(AdapterSuite):
    adapter: Adapter = Pigeon(account="loft", secret=Secret(SECRET))
    now = float(NOW)

    def genuine(self) -> Sequence[Http]:
        return [signed("1"), signed("2", by="ben")]

    def own(self) -> Sequence[Http]:
        return [signed("3", by="pigeon")]

    def stale(self) -> Http:
        return signed("1", at=NOW - 301)


class Gullible(Pigeon):
    def verify(self, request: Http, known: Known) -> Payload:
        return Payload(body=request.body)


class Polite(Pigeon):
    """Checks a proof only if there is one."""

    def verify(self, request: Http, known: Known) -> Payload:
        if not request.headers.get("x-pigeon-signature"):
            return Payload(body=request.body)
        return super().verify(request, known)


class Timeless(Pigeon):
    """Takes the timestamp for optional."""

    def verify(self, request: Http, known: Known) -> Payload:
        at = request.headers.get("x-pigeon-at", "")
        now = int(at) if at.isdecimal() else known.now
        stamped = request if at else with_header(request, "x-pigeon-at", str(int(known.now)))
        return super().verify(stamped, msgspec.structs.replace(known, now=float(now)))


class Careless(Pigeon):
    """Does not cover the end of the body."""

    def verify(self, request: Http, known: Known) -> Payload:
        for end in (b"}", b"", request.body[-1:]):
            whole = msgspec.structs.replace(request, body=request.body[:-1] + end)
            with contextlib.suppress(Forged):
                return super().verify(whole, known)
        raise Forged("the signature is wrong")


class Abbreviating(Pigeon):
    """Takes the beginning of a signature for the whole."""

    def verify(self, request: Http, known: Known) -> Payload:
        given = header(request.headers, "x-pigeon-signature")
        at = header(request.headers, "x-pigeon-at")
        expected = crypto.hmac_sha256_hex(SECRET, at.encode(), request.body)
        if expected.startswith(given):
            return super().verify(with_header(request, "x-pigeon-signature", expected), known)
        raise Forged("the signature is wrong")


class Shared(Pigeon):
    """Has one secret for all accounts."""

    def verify(self, request: Http, known: Known) -> Payload:
        return Pigeon(account=self.account, secret=Secret(SECRET)).verify(request, known)


@platform
class Unlocked(Pigeon):
    """Believes everybody when no secret is set."""

    secret: Secret = setting("What notes are signed with.", default=Secret())

    def verify(self, request: Http, known: Known) -> Payload:
        return super().verify(request, known) if self.secret else Payload(body=request.body)


class Stubborn(Pigeon):
    def verify(self, request: Http, known: Known) -> Payload:
        raise Forged("nothing is genuine")


class Trusting(Pigeon):
    """Takes for granted what platforms send."""

    def parse(self, payload: Payload, known: Known) -> Receipt:
        body = msgspec.json.decode(payload.body)
        return Receipt(events=(self.event(Note(id=body["id"], text="", room="roof", by=body["by"]), known),))


class Believing(Pigeon):
    """Decodes with care, and then believes that fields are there."""

    def parse(self, payload: Payload, known: Known) -> Receipt:
        body = wire.decode_object(payload.body)
        note = Note(id=str(body.get("id")), text=body["text"].strip(), room="roof", by=str(body.get("by")))
        return Receipt(events=(self.event(note, known),))


class Renaming(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), key=known.nonce)


class Sameness(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), key="note")


COUNT = itertools.count()


class Counting(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), text=str(next(COUNT)))


class Echoing(Pigeon):
    def parse(self, payload: Payload, known: Known) -> Receipt:
        return Receipt(events=(self.event(wire.decode(payload.body, Note), known),))


class Sleeping(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), wants_turn=False)


class Straying(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), conversation="roof")


class Unstorable(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), value={"tags": {"a"}})


class Telltale(Pigeon):
    def event(self, note: Note, known: Known) -> Event:
        return msgspec.structs.replace(super().event(note, known), value={"signed_with": self.secret.reveal()})


class Blabbing(Pigeon):
    def verify(self, request: Http, known: Known) -> Payload:
        try:
            return super().verify(request, known)
        except Forged as error:
            raise Forged(f"not signed with {self.secret.reveal()}") from error


class Endless(Pigeon):
    def split(self, message: Message) -> tuple[Message, ...]:
        return (message,)


class Cutting(Pigeon):
    def split(self, message: Message) -> tuple[Message, ...]:
        return (Message(text=message.text[: self.capabilities.max_text]),)


class Raising(Pigeon):
    def judge(self, response: Response) -> Outcome:
        if response.status >= 500:
            raise OSError("the loft is closed")
        return super().judge(response)


class Fragile(Pigeon):
    """Believes that an answer is what is documented."""

    def judge(self, response: Response) -> Outcome:
        return Sent(ids=(msgspec.json.decode(response.body)["id"],)) if response.status == 200 else Refused(reason="no")


class Optimist(Pigeon):
    def judge(self, response: Response) -> Outcome:
        return Sent()


class Quitter(Pigeon):
    def judge(self, response: Response) -> Outcome:
        return Refused(reason="not today") if response.status >= 300 else super().judge(response)


class Insisting(Pigeon):
    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        while True:
            response = yield Http(url="https://example.org/fly")
            if response.status < 300:
                return Sent()


class Impatient(Pigeon):
    """Makes its own error of silence."""

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        try:
            return (yield from super().send(delivery, known))
        except NoAnswer as silence:
            raise TimeoutError(silence.reason) from silence


class Deaf(Pigeon):
    """Asks on and on."""

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        while True:
            with contextlib.suppress(NoAnswer):
                yield Http(url="https://example.org/fly")
                return Sent()


class Reasoning(Pigeon):
    def judge(self, response: Response) -> Outcome:
        return Retry(reason=f"HTTP {response.status} for {self.token.reveal()}")


class Carrying(Pigeon):
    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        yield Http(url="https://example.org/fly", headers={"authorization": self.token.reveal()})
        return Sent()


class Fetching(Pigeon):
    """Tells its secret before it gives up."""

    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        yield Http(url=f"https://example.org/{self.token.reveal()}")
        raise MediaRefused("not there")


class Granted(Pigeon):
    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        yield Http(url="https://example.org/fly", json={"token": Credential(name="day_ticket")})
        return Sent()

    def grant(self, name: str, workspace: str, known: Known) -> Exchange[Any]:
        yield Http(url="https://example.org/ticket", json={"token": self.token.reveal()})


class Printed(Pigeon):
    def __repr__(self) -> str:
        return f"Pigeon({self.token.reveal()})"


class Listening(Pigeon):
    def poll(self, known: Known) -> Exchange[Polled]:
        response = yield Http(url="https://example.org/notes")
        return Polled(cursor=wire.decode(response.body, Landed).id)


class Losing(Pigeon):
    def fetch(self, attachment: Attachment, known: Known) -> Exchange[Media]:
        response = yield Http(url="https://example.org/file", into="media")
        media: Any = response.media
        return media  # type: ignore[no-any-return]  # that is what is wrong with it


@platform
class Unexplained(Pigeon):
    rings: int = 0


class Mute(Pigeon):
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=40, actions=frozenset({"delete"}))


class Complaining(Pigeon):
    def check(self) -> Sequence[str]:
        return ["the loft is too small"]


class Nameless(Pigeon):
    title: ClassVar[str] = ""


def with_header(request: Http, name: str, value: str) -> Http:
    return msgspec.structs.replace(request, headers={**request.headers, name: value})


Errors = type[Exception] | tuple[type[Exception], ...]

BROKEN: list[tuple[type[Pigeon], str, Errors]] = [
    (Stubborn, "a_genuine_request_is_accepted", AssertionError),
    (Gullible, "a_request_without_proof_is_refused", AssertionError),
    (Polite, "a_request_that_lacks_any_part_of_its_proof_is_refused", AssertionError),
    (Polite, "an_empty_proof_is_refused", AssertionError),
    (Timeless, "a_request_that_lacks_any_part_of_its_proof_is_refused", AssertionError),
    (Timeless, "a_stale_proof_is_refused", AssertionError),
    (Careless, "a_body_with_any_byte_altered_is_refused", AssertionError),
    (Abbreviating, "a_proof_with_any_character_altered_is_refused", AssertionError),
    (Shared, "a_proof_by_another_secret_is_refused", AssertionError),
    (Unlocked, "an_account_without_its_secrets_cannot_start", AssertionError),
    (Trusting, "parse_takes_any_bytes", msgspec.DecodeError),
    (Trusting, "parse_takes_any_json", (TypeError, LookupError, msgspec.DecodeError)),
    (Believing, "parse_takes_any_json", KeyError),
    (Believing, "parse_takes_a_genuine_payload_with_any_part_replaced", (AttributeError, KeyError)),
    (Renaming, "a_repeat_has_the_same_keys", AssertionError),
    (Sameness, "different_happenings_have_different_keys", AssertionError),
    (Counting, "the_same_request_gives_the_same_events", AssertionError),
    (Echoing, "what_the_bot_did_itself_wants_no_turn", AssertionError),
    (Sleeping, "every_genuine_request_wants_a_turn", AssertionError),
    (Straying, "events_belong_to_the_account", AssertionError),
    (Unstorable, "events_survive_storage", AssertionError),
    (Telltale, "no_event_tells_a_secret", AssertionError),
    (Blabbing, "no_refusal_tells_a_secret", AssertionError),
    (Endless, "every_piece_of_a_split_text_fits", AssertionError),
    (Cutting, "a_word_without_end_is_split_too", AssertionError),
    (Raising, "every_answer_ends_in_an_outcome", OSError),
    (Fragile, "every_answer_ends_in_an_outcome", msgspec.DecodeError),
    (Insisting, "every_answer_ends_in_an_outcome", RuntimeError),
    (Optimist, "an_error_is_never_taken_for_success", AssertionError),
    (Quitter, "a_message_is_not_given_up_for_a_passing_trouble", AssertionError),
    (Impatient, "silence_ends_in_an_outcome", TimeoutError),
    (Deaf, "silence_ends_in_an_outcome", AssertionError),
    (Listening, "every_answer_to_a_poll_or_a_probe_is_understood", Malformed),
    (Losing, "every_answer_to_a_fetch_is_a_file_or_a_refusal", AssertionError),
    (Reasoning, "no_outcome_tells_a_secret", AssertionError),
    (Carrying, "requests_only_name_their_secrets", AssertionError),
    (Fetching, "requests_only_name_their_secrets", AssertionError),
    (Granted, "a_token_is_asked_for_without_telling_the_secret", AssertionError),
    (Printed, "the_adapter_hides_its_secrets", AssertionError),
    (Unexplained, "every_setting_is_explained", AssertionError),
    (Mute, "the_capabilities_agree_with_the_account", AssertionError),
    (Complaining, "these_settings_are_accepted", AssertionError),
    (Nameless, "the_adapter_keeps_the_contract", AssertionError),
]


@pytest.mark.parametrize(("broken", "sentence", "error"), BROKEN)
def test_a_broken_adapter_turns_its_test_red(broken: type[Pigeon], sentence: str, error: Errors) -> None:
    with pytest.raises(error):
        run(broken(account="loft", secret=Secret(SECRET)), sentence)


def test_short_secrets_are_refused_because_they_cannot_be_recognised() -> None:
    with pytest.raises(AssertionError, match="token"):
        run(Pigeon(account="loft", secret=Secret(SECRET), token=Secret("coo")), "the_secrets_of_this_suite")


def test_every_test_of_the_suite_has_been_seen_red() -> None:
    seen = {f"test_{sentence}" for _, sentence, _ in BROKEN}
    elsewhere = set(vars(SocketTests))  # in test_suite_sockets.py
    missing = {name for name in dir(AdapterSuite) if name.startswith("test_")} - seen - elsewhere

    assert missing == {"test_the_secrets_of_this_suite_can_be_recognised"}


def run(adapter: Adapter, sentence: str) -> None:
    suite: Any = type("TestBroken", (TestPigeon,), {"adapter": adapter})()
    [name] = [name for name in dir(suite) if name.startswith(f"test_{sentence}")]
    getattr(suite, name)()


class Loft(AdapterSuite):
    """Says what it must, and no more."""

    adapter: Adapter = Pigeon(account="loft", secret=Secret(SECRET))
    now = float(NOW)

    def genuine(self) -> Sequence[Http]:
        return [signed("1")]


class Deskbound(Loft):
    webhooks = False


def test_tests_without_ground_are_taken_out() -> None:
    whole, some, few = (
        {name for name in dir(cls) if callable(getattr(cls, name))} for cls in (TestPigeon, Loft, Deskbound)
    )

    assert whole - some == {"test_a_stale_proof_is_refused", "test_what_the_bot_did_itself_wants_no_turn"}
    assert "test_a_request_without_proof_is_refused" in some - few
    assert "test_every_answer_ends_in_an_outcome" in few


def test_a_platform_that_does_not_sign_bodies_is_not_asked_to() -> None:
    suite: Any = type(
        "TestUnsigned", (TestPigeon,), {"adapter": Careless(account="loft", secret=Secret(SECRET)), "signs_body": False}
    )()

    suite.test_a_body_with_any_byte_altered_is_refused()


def test_a_platform_without_webhooks_is_tested_all_the_same() -> None:
    suite: Any = Deskbound()

    suite.test_every_answer_ends_in_an_outcome()
    suite.test_no_event_tells_a_secret()
    suite.test_no_refusal_tells_a_secret()


def test_the_command_needs_no_library_of_development() -> None:
    code = "import sys, dragoman.testing.conformance; sys.exit('hypothesis' in sys.modules or 'pytest' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - our own interpreter, our own text

    assert done.returncode == 0
