"""The hard tests of an adapter, to inherit: see `dragoman.testing.conformance` for how to use them."""

from typing import Any

from dragoman.adapter import Adapter
from dragoman.testing.suite.identity import IdentityTests
from dragoman.testing.suite.proof import ProofTests, StaleTests
from dragoman.testing.suite.reading import OwnTests, ReadingTests
from dragoman.testing.suite.secrecy import SecrecyTests
from dragoman.testing.suite.sending import SendingTests
from dragoman.testing.suite.socket import SocketTests
from dragoman.testing.suite.subject import Subject
from dragoman.testing.suite.totality import TotalityTests, WebhookTotalityTests

__all__ = ["AdapterSuite"]

WEBHOOKS = (ProofTests, StaleTests, ReadingTests, OwnTests, WebhookTotalityTests)
"""Tests that need a platform which sends webhooks."""


class AdapterSuite(
    IdentityTests,
    ProofTests,
    StaleTests,
    ReadingTests,
    OwnTests,
    TotalityTests,
    WebhookTotalityTests,
    SendingTests,
    SocketTests,
    SecrecyTests,
):
    """What every adapter must keep; a subclass says which adapter, and gives its requests."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Take out the tests that this platform gives no ground for: a test that cannot fail is no test."""
        super().__init_subclass__(**options)
        groundless: list[type] = [] if cls.webhooks else list(WEBHOOKS)
        groundless += [StaleTests] if cls.stale is Subject.stale else []
        adapter = getattr(cls, "adapter", None)
        groundless += [] if isinstance(adapter, Adapter) and adapter.mode() == "socket" else [SocketTests]
        groundless += [OwnTests] if cls.own is Subject.own else []
        for group in groundless:
            for name in vars(group):
                if name.startswith("test_"):
                    setattr(cls, name, None)
