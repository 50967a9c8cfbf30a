"""What the tests of e-mail share: an account, mails written line by line, and the events they bring."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dragoman.adapter import Known, Payload, Receipt
from dragoman.adapters.email import Email
from dragoman.model import Event, Secret

NOW = 1_767_406_614.0
Account = Callable[..., Email]
Letter = Callable[..., bytes]
Read = Callable[..., Receipt]
One = Callable[..., Event]

HEADER = {
    "From": "Ada <ada@example.net>",
    "To": "Bot <bot@example.org>",
    "Subject": "A question",
    "Date": "Sat, 3 Jan 2026 02:16:54 +0000",
    "Message-ID": "<one@example.net>",
}


@pytest.fixture
def known() -> Known:
    return Known(now=NOW)


@pytest.fixture
def account() -> Account:
    def make(**settings: Any) -> Email:
        given: dict[str, Any] = {
            "account": "mail",
            "address": "bot@example.org",
            "imap_host": "imap.example.org",
            "smtp_host": "smtp.example.org",
            "password": Secret("a-password-of-the-tests"),
        }
        return Email(**(given | settings))

    return make


@pytest.fixture
def letter() -> Letter:
    """Write a mail: fields over the usual ones (None takes one out), and a body."""

    def write(body: str | bytes = "Hello\n", /, **fields: str | None) -> bytes:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        every = {name: value for name, value in (HEADER | named).items() if value is not None}
        head = "".join(f"{name}: {value}\n" for name, value in every.items())
        return f"{head}\n".encode() + (body.encode() if isinstance(body, str) else body)

    return write


@pytest.fixture
def read(account: Account, known: Known) -> Read:
    """Hand a mail to the account of these settings, as the mailbox's mail 7."""

    def parse(raw: bytes, **settings: Any) -> Receipt:
        return account(**settings).parse(Payload(body=raw, headers={"place": "3:7"}), known)

    return parse


@pytest.fixture
def one(read: Read) -> One:
    """Return the one event of a mail; it must survive storage."""

    def parse(raw: bytes, **settings: Any) -> Event:
        receipt = read(raw, **settings)
        assert receipt.ignored == ()
        (event,) = receipt.events
        assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
        return event

    return parse


@pytest.fixture
def cpu() -> Callable[[], float]:
    """Count the time that this process computes, whatever else the machine does."""
    return time.process_time
