"""What the events of genuine requests must be."""

import msgspec

from dragoman.model import Event
from dragoman.testing.suite.subject import Subject


class ReadingTests(Subject):
    """Each happening is an event of this account, under a name that no other has."""

    def test_every_genuine_request_wants_a_turn(self) -> None:
        """Nothing that somebody said to the bot goes under."""
        for request in self.genuine():
            assert any(event.wants_turn for event in self.events(request)), f"no turn for {request.body[:80]!r}"

    def test_events_belong_to_the_account(self) -> None:
        """They say whose they are, where to answer, and who is meant."""
        for request in self.genuine():
            for event in self.events(request):
                assert event.account == event.address.account == self.adapter.account
                assert event.platform == self.adapter.platform
                assert event.key
                assert event.conversation.startswith(f"{self.adapter.account}/")

    def test_the_same_request_gives_the_same_events(self) -> None:
        """Parsing is a function."""
        for request in self.genuine():
            assert self.events(request) == self.events(request)

    def test_a_repeat_has_the_same_keys(self) -> None:
        """A platform that repeats a request later is not asking twice."""
        for request in self.genuine():
            again = _names(self.events(request, self.later()))
            assert _names(self.events(request)) == again, f"another key the second time: {request.body[:80]!r}"

    def test_different_happenings_have_different_keys(self) -> None:
        """Or the second would be taken for a repeat of the first, and lost."""
        names = [name for request in self.genuine() for name in _names(self.events(request))]
        assert len(names) == len(set(names)), f"two happenings share a key: {names}"

    def test_events_survive_storage(self) -> None:
        """What the store writes is what it reads."""
        for request in self.genuine():
            for event in self.events(request):
                assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


class OwnTests(Subject):
    """Where a platform reports to the bot what the bot did."""

    def test_what_the_bot_did_itself_wants_no_turn(self) -> None:
        """A bot that answers itself never stops."""
        for request in self.own():
            waking = [event for event in self.events(request) if event.wants_turn]
            assert waking == [], f"the bot would answer itself: {request.body[:80]!r}"


def _names(events: tuple[Event, ...]) -> list[tuple[str, str]]:
    return [(event.kind, event.key) for event in events]
