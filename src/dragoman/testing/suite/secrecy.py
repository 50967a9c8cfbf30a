"""That a secret is nowhere but in the settings."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from dragoman.adapter import Known
from dragoman.errors import Forged, Malformed, MediaRefused
from dragoman.testing.drive import drive, steps
from dragoman.testing.suite.sending import MOST, answers
from dragoman.testing.suite.subject import Start, Subject
from dragoman.wire import Credential, Http, Request, Response

LEAST: Final = 8
"""Characters of a secret that cannot stand somewhere by chance."""


class SecrecyTests(Subject):
    """Not in a repr, a request, a reason, a refusal or an event."""

    def test_the_secrets_of_this_suite_can_be_recognised(self) -> None:
        """A short one would stand in other texts by chance."""
        short = [name for name, secret in self.secrets().items() if len(secret.reveal()) < LEAST]
        assert short == [], f"give these settings at least {LEAST} characters: {short}"

    def test_the_adapter_hides_its_secrets(self) -> None:
        """A traceback prints it."""
        self.hides("the adapter's repr", repr(self.adapter), str(self.adapter))

    def test_requests_only_name_their_secrets(self) -> None:
        """Whoever logs a request logs no secret; the client puts it in place."""
        for request in self._requests():
            self.hides("a request", repr(request), _written(request))

    def test_a_token_is_asked_for_without_telling_the_secret(self) -> None:
        """The request for it names the secret, as every other does."""
        granted = {name for request in self._requests() for name in _credentials(request)} - set(self.secrets())
        for name in granted:
            request = next(self.adapter.grant(name, "", self.known))
            self.hides(f"the request for {name}", repr(request), _written(request))

    def test_no_outcome_tells_a_secret(self) -> None:
        """Its reason is logged, stored and shown."""
        for delivery in self.deliveries():
            for answer in answers():
                outcome = drive(self.adapter.send(delivery, self.known), answer, MOST).result
                self.hides("an outcome", repr(outcome), _written(outcome))

    def test_no_refusal_tells_a_secret(self) -> None:
        """Its text is logged."""
        for text in self._refusals():
            self.hides("a refusal", text)

    def test_no_event_tells_a_secret(self) -> None:
        """Plugins see it, and the store keeps it."""
        for request in self.genuine() if self.webhooks else ():
            self.hides("an event", *(_written(event) for event in self.events(request)))

    def _requests(self) -> Iterator[Request]:
        for begin in self.exchanges():
            for answer in answers(200, 401):
                yield from _asked(begin, answer)

    def _refusals(self) -> Iterator[str]:
        for request in self.genuine() if self.webhooks else ():
            for forged in (self.without_proof(request), msgspec.structs.replace(request, body=request.body + b" ")):
                yield _refusal(self.adapter.verify, forged, self.known)
            payload = self.payload(request)
            for body in (b"", b"{}", payload.body[:-1]):
                yield _refusal(self.adapter.parse, msgspec.structs.replace(payload, body=body), self.known)

    def hides(self, where: str, *texts: str) -> None:
        """Fail when a secret stands in one of these texts."""
        for name, secret in self.secrets().items():
            for text in texts:
                assert not any(value in text for value in secret.candidates()), f"{where} tells {name}"


def _asked(begin: Start, answer: Response) -> Iterator[Request]:
    with contextlib.suppress(MediaRefused):
        yield from steps(begin(), answer, MOST)


def _credentials(request: Request) -> set[str]:
    if not isinstance(request, Http):
        return set()
    values = (request.auth, *(request.json or {}).values(), *(request.form or {}).values())
    return {value.name for value in values if isinstance(value, Credential)}


def _refusal(step: Callable[[Any, Known], object], given: Any, known: Known) -> str:
    """Return the text with which a step refuses what it is given, if it does."""
    try:
        step(given, known)
    except (Forged, Malformed) as refusal:
        return f"{refusal} {refusal!r}"
    return ""


def _written(value: Any) -> str:
    return msgspec.json.encode(value).decode()
