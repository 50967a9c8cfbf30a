"""Who a person is to the store: an account, a workspace, and the sender's id there."""

from typing import Final, Self

from dragoman import crypto
from dragoman.model import Address, Event, Value, channel_of

ERASED: Final = "-erased"
"""The conversation of what was erased; no adapter names one so."""


class Person(Value):
    """One sender on one account. As text it is what `dragoman user find` prints and the commands take."""

    account: str
    workspace: str
    id: str

    def __str__(self) -> str:
        """Return the name under which a person's memory and timers are kept."""
        return f"{self.account}/{self.workspace}/{self.id}"

    @property
    def mark(self) -> str:
        """Return what tells this person from others without naming them."""
        return crypto.fingerprint(str(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `account/workspace/sender`; raises `ValueError`."""
        account, slash, rest = text.partition("/")
        workspace, second, sender = rest.partition("/")
        if not (account and slash and second and sender):
            raise ValueError(f"{text!r} is no person: it should be ACCOUNT/WORKSPACE/SENDER, as `user find` prints it")
        return cls(account=account, workspace=workspace, id=sender)


def sender_of(event: Event) -> Person | None:
    """Return who caused an event; None when nobody did."""
    if not event.sender.id or event.conversation == ERASED:
        return None
    return Person(account=event.account, workspace=event.address.workspace, id=event.sender.id)


def place_of(address: Address) -> Person:
    """Return the channel in the place of a person, for what is said to nobody in particular."""
    account, _, channel = channel_of(address).partition("//")
    return Person(account=account, workspace="", id=channel)
