"""The people connected to us directly: the browser chat and the terminal. Frames in, frames out."""

from typing import Any, ClassVar

import msgspec

from dragoman import text
from dragoman.adapter import Adapter, Capabilities, Known, Mode, Payload, Receipt, Unit, platform
from dragoman.errors import Malformed
from dragoman.model import Address, Delivery, Event, Say, Sender, Typing, Value
from dragoman.wire import Exchange, Outcome, Push, Refused, Sent, decode


class Said(Value):
    """A frame from a person: a text, or the value of a pressed button."""

    id: str
    text: str = ""
    value: str = ""
    channel: str = ""
    name: str = ""
    locale: str = ""
    zone: str = ""


@platform
class Web(Adapter):
    """The chat page of this service."""

    platform: ClassVar[str] = "web"
    title: ClassVar[str] = "Browser chat"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=20_000,
        dialect="html",
        actions=frozenset({"say", "typing"}),
        modes=frozenset({"local"}),
        buttons=True,
        idempotent_send=86_400.0,  # every frame carries its id, and the page shows an id once
    )
    unit: ClassVar[Unit] = "channel"

    def mode(self) -> Mode:
        """Receive from our own sockets."""
        return "local"

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Read a frame that came over one of our own sockets."""
        said = decode(payload.body, Said)
        if not said.channel or not said.id or not (said.text.strip() or said.value):
            raise Malformed("a frame needs id, channel, and text or value")
        pressed = bool(said.value)
        event = Event(
            key=f"{said.channel}/{said.id}",
            kind="action" if pressed else "message",
            account=self.account,
            platform=self.platform,
            conversation=self.place(said.channel, sender=said.channel),
            address=Address(account=self.account, channel=said.channel),
            sender=Sender(id=said.channel, name=said.name, locale=said.locale, zone=said.zone),
            message_id=said.id,
            text=said.text.strip(),
            text_as_sent=said.text,
            value={"action_value": said.value} if pressed else {},
            at=known.now,
        )
        return Receipt(events=(event,))

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Push a frame to everyone who has the channel open; who has not reads it in the history."""
        frame = self._frame(delivery)
        if frame is None:
            return Refused(reason=f"{self.platform} can only say and show typing")
        yield Push(channel=delivery.address.channel, frame=frame)
        return Sent(ids=(f"d{delivery.id}",))

    def _frame(self, delivery: Delivery) -> dict[str, Any] | None:
        if isinstance(delivery.action, Typing):
            return {"type": "typing"}
        if not isinstance(delivery.action, Say):
            return None
        message = delivery.action.message
        return {
            "type": "message",
            "by": "bot",
            "id": f"d{delivery.id}",
            "text": message.text,
            "html": text.render(message.text, "html"),
            "buttons": msgspec.to_builtins(message.buttons),
            "at": delivery.at,
        }


@platform
class Terminal(Web):
    """The terminal of this machine (`dragoman chat`)."""

    platform: ClassVar[str] = "terminal"
    title: ClassVar[str] = "Terminal"


@platform
class Inside(Adapter):
    """No platform at all: where the operator's tasks run that speak to nobody."""

    platform: ClassVar[str] = "inside"
    title: ClassVar[str] = "No platform"
    capabilities: ClassVar[Capabilities] = Capabilities(
        max_text=20_000, actions=frozenset(), modes=frozenset({"local"})
    )
    unit: ClassVar[Unit] = "channel"

    def mode(self) -> Mode:
        """Receive from our own timers."""
        return "local"

    def parse(self, payload: Payload, known: Known) -> Receipt:
        """Take nothing: nobody writes from here."""
        raise Malformed("nobody writes from here")

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        """Refuse: nobody reads here."""
        return Refused(reason="nobody reads here")
        yield  # makes this a generator, as the contract has it
