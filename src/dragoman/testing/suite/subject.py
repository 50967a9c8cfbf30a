"""What a suite says about its adapter: some of it is required, some has a default that usually fits."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import msgspec

from dragoman import text
from dragoman.adapter import Adapter, Known, Payload
from dragoman.errors import Forged, Malformed
from dragoman.model import (
    Action,
    Address,
    Answer,
    Attachment,
    Button,
    Delete,
    Delivery,
    Edit,
    Event,
    Media,
    Message,
    React,
    Say,
    Secret,
    Typing,
)
from dragoman.wire import Exchange, Frame, Http

LATER: Final = 1.0
"""Seconds after which a platform may repeat a request."""


Start = Callable[[], Exchange[Any]]


class Subject:
    """The adapter under test, its requests, and what is known when they come."""

    adapter: Adapter
    """A configured value; each of its secrets has at least eight characters."""
    now: float
    """The clock, in epoch seconds, for which `genuine` is signed."""
    webhooks: ClassVar[bool] = True
    """False for a platform that sends no webhooks; the tests that need one are then taken out."""
    signs_body: ClassVar[bool] = True
    """False where the proof does not cover the body, as with a shared token in a header."""
    harmless: ClassVar[frozenset[str]] = frozenset({"content-type"})
    """Headers and query parameters of the requests below that prove nothing, in lower case."""

    @property
    def known(self) -> Known:
        """What the adapter may know: the clock alone, unless a suite says more."""
        return Known(now=self.now, nonce="first")

    def genuine(self) -> Sequence[Http]:
        """Return signed requests about different happenings; each brings at least one event that wants a turn."""
        raise NotImplementedError("a suite with webhooks gives genuine requests")

    def own(self) -> Sequence[Http]:
        """Return signed requests about what the bot itself did."""
        return ()

    def frames(self) -> Sequence[Frame]:
        """Return frames of a socket, each about another happening that wants a turn (an account with a socket)."""
        raise NotImplementedError("a suite with a socket gives genuine frames")

    def stale(self) -> Http:
        """Return a request whose proof is right, but too old (where the platform's proof has an age)."""
        raise NotImplementedError("only for a proof that has an age")

    def without_proof(self, request: Http) -> Http:
        """Return a request without any proof: by default without headers and query, but for the harmless ones."""
        return msgspec.structs.replace(request, headers=self._kept(request.headers), query=self._kept(request.query))

    def another(self) -> Adapter:
        """Return the same account with other secrets (of the same length and alphabet)."""
        changed = {name: Secret(_other(secret.reveal())) for name, secret in self.secrets().items()}
        return dataclasses.replace(self.adapter, **changed)  # type: ignore[arg-type]  # names of its own fields

    def measure(self, body: str) -> int:
        """Return a text's length in the unit of `max_text`: by default the characters of its rendered form."""
        return len(text.render(body, self.adapter.capabilities.dialect))

    def address(self) -> Address:
        """Return a place to send to: by default where the first genuine message came from."""
        return self.first().address if self.webhooks else Address(account=self.adapter.account, channel="1")

    def actions(self) -> Sequence[Action]:
        """Return one of each action that the adapter declares, and messages with all that they may carry."""
        message_id = (self.first().message_id if self.webhooks else "") or "1"
        message = Message(text="hello **world**")
        possible: dict[str, Action] = {
            "say": Say(message=message),
            "edit": Edit(message_id=message_id, message=message),
            "delete": Delete(message_id=message_id),
            "react": React(message_id=message_id, emoji="thumbsup"),
            "typing": Typing(),
            "answer": Answer(interaction_id="1", text="done"),
        }
        declared = [action for name, action in possible.items() if name in self.adapter.capabilities.actions]
        return [*declared, *self._richer()]

    def _richer(self) -> list[Action]:
        capabilities = self.adapter.capabilities
        media = Media(ref="0" * 64, size=9, mime="image/png", name="picture.png")
        attachment = Attachment(kind="image", name="picture.png", mime="image/png", media=media)
        button = Button(text="Yes", value="yes")
        found: list[Action] = []
        if capabilities.media_out:
            found.append(Say(message=Message(text="look", attachments=(attachment,))))
        if capabilities.buttons:
            found.append(Say(message=Message(text="choose", buttons=(button,))))
        return found

    def deliveries(self) -> list[Delivery]:
        """Return a delivery of each action."""
        address = self.address()
        place = f"{self.adapter.account}/{address.channel}"
        return [
            Delivery(id=number, key=f"1:{number}:0", action=action, address=address, conversation=place, at=self.now)
            for number, action in enumerate(self.actions(), start=1)
        ]

    def exchanges(self) -> list[Start]:
        """Return all that the adapter may ask of its platform, each ready to be begun."""
        attachment = Attachment(kind="image", id="1", url="https://example.org/picture.png")
        sends = [partial(self.adapter.send, delivery, self.known) for delivery in self.deliveries()]
        others = [partial(method, self.known) for method in (self.adapter.poll, self.adapter.probe)]
        return [*sends, *others, partial(self.adapter.fetch, attachment, self.known)]

    def secrets(self) -> dict[str, Secret]:
        """Return the secrets that the adapter has, by the name of their setting."""
        values = {field.name: getattr(self.adapter, field.name) for field in dataclasses.fields(self.adapter)}
        return {name: value for name, value in values.items() if isinstance(value, Secret) and value}

    def first(self) -> Event:
        """Return the first event that a genuine request brings."""
        return self.events(self.genuine()[0])[0]

    def events(self, request: Http, known: Known | None = None) -> tuple[Event, ...]:
        """Verify a request now, and parse it, now or later; returns its events."""
        return self.adapter.parse(self.payload(request), known or self.known).events

    def later(self) -> Known:
        """What is known when a platform repeats a request."""
        return msgspec.structs.replace(self.known, now=self.now + LATER, nonce="second")

    def payload(self, request: Http) -> Payload:
        """Return what the adapter proves of a request."""
        return self.adapter.verify(request, self.known)

    def refuses(self, request: Http, adapter: Adapter | None = None) -> bool:
        """Tell whether a request is refused at the door."""
        try:
            (adapter or self.adapter).verify(request, self.known)
        except (Forged, Malformed):
            return True
        return False

    def takes(self, payload: Payload) -> None:
        """Parse whatever it is, `Malformed` being an answer too."""
        with contextlib.suppress(Malformed):
            self.adapter.parse(payload, self.known)

    def proofs(self, request: Http) -> list[tuple[str, str]]:
        """Return where a request's proof stands: (`headers` or `query`, name)."""
        parts = {"headers": request.headers, "query": request.query}
        return [(part, name) for part, values in parts.items() for name in values if name not in self.harmless]

    def _kept(self, values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name in self.harmless}


def _other(secret: str) -> str:
    """Turn a secret round, or shift it: other, of the same length and alphabet."""
    turned = secret[::-1]
    return turned if turned != secret else secret[1:] + secret[:1]
