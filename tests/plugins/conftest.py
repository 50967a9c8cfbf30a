"""What the plugins' tests share."""

import pytest

from dragoman.model import Address, Event, Sender


@pytest.fixture
def event() -> Event:
    """A pressed button that says `time`."""
    return Event(
        key="1",
        kind="action",
        account="local",
        platform="local",
        conversation="local/c",
        address=Address(account="local", channel="c"),
        sender=Sender(id="u1"),
        value={"action_value": "time", "interaction_id": "i1"},
    )
