"""That every answer of the platform's API, and its silence, ends in an outcome."""

import contextlib
from collections.abc import Iterator
from typing import Final

from dragoman.adapter import Polled, Probe
from dragoman.errors import MediaRefused, NoAnswer
from dragoman.model import Attachment, Delete, Delivery, Media, Say
from dragoman.testing.drive import drive
from dragoman.testing.suite.subject import Subject
from dragoman.wire import Expired, Moved, Outcome, Refused, Response, Retry, Sent, Unsure

MOST: Final = 12
"""Requests that one delivery may need: an upload in steps, a renewed credential, another form."""

OUTCOMES: Final = (Sent, Retry, Refused, Moved, Expired, Unsure)
STATUSES: Final = (200, 204, 400, 401, 403, 404, 409, 429, 500, 502, 503)
BODIES: Final = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b'{"ok": tru',
    b"\xff\xfe\x00",
    b"[" * 2000,
    b"<html><body>Bad gateway</body></html>",
)


def answers(*statuses: int) -> Iterator[Response]:
    """Yield answers that no documentation has."""
    for status in statuses or STATUSES:
        for body in BODIES:
            kind = "text/html" if body.startswith(b"<") else "application/json"
            yield Response(status=status, headers={"content-type": kind}, body=body)


class SendingTests(Subject):
    """`send` never raises for an answer, and never takes a failure for success."""

    def test_every_answer_ends_in_an_outcome(self) -> None:
        """Of every action that the adapter declares, or the delivery would be lost."""
        for delivery in self.deliveries():
            for answer in answers():
                outcome = self.outcome(delivery, answer)
                assert isinstance(outcome, OUTCOMES), f"{_named(delivery)}, {_told(answer)}: {outcome!r}"

    def test_an_error_is_never_taken_for_success(self) -> None:
        """What a platform did not take is not sent; only what is gone already may count as deleted."""
        for delivery in self.deliveries():
            gone = isinstance(delivery.action, Delete)
            for answer in answers(400, 401, 403, *(() if gone else (404,)), 429, 500, 502, 503):
                outcome = self.outcome(delivery, answer)
                assert not isinstance(outcome, Sent), f"{_named(delivery)}, {_told(answer)}: {outcome!r}"

    def test_a_message_is_not_given_up_for_a_passing_trouble(self) -> None:
        """Too many requests, or a server that broke: that is no refusal."""
        for delivery in self.deliveries():
            for answer in answers(429, 500, 502, 503) if isinstance(delivery.action, Say) else ():
                outcome = self.outcome(delivery, answer)
                assert isinstance(outcome, Retry | Unsure), f"{_told(answer)}: {outcome!r}"

    def test_silence_ends_in_an_outcome(self) -> None:
        """Or passes through, for the client to judge: nothing else may come of it."""
        for delivery in self.deliveries():
            for sent in (True, False):
                outcome = self.silent(delivery, sent=sent)
                assert isinstance(outcome, (*OUTCOMES, NoAnswer)), f"{_named(delivery)}: {outcome!r}"

    def test_every_answer_to_a_poll_or_a_probe_is_understood(self) -> None:
        """Or one bad answer would end the listening."""
        for answer in answers():
            polled = drive(self.adapter.poll(self.known), answer, MOST).result
            assert isinstance(polled, Polled), f"{_told(answer)}: {polled!r}"
            probe = drive(self.adapter.probe(self.known), answer, MOST).result
            assert isinstance(probe, Probe), f"{_told(answer)}: {probe!r}"
            assert all(": " in problem for problem in probe.problems), f"a remedy follows a colon: {probe.problems}"

    def test_every_answer_to_a_fetch_is_a_file_or_a_refusal(self) -> None:
        """A plugin that asks for a picture gets it, or the reason why not."""
        attachment = Attachment(kind="image", id="1", url="https://example.org/picture.png")
        for answer in answers():
            with contextlib.suppress(MediaRefused):
                fetched = drive(self.adapter.fetch(attachment, self.known), answer, MOST).result
                assert isinstance(fetched, Media), f"{_told(answer)}: {fetched!r}"

    def outcome(self, delivery: Delivery, answer: Response) -> Outcome:
        """Carry out a delivery, every request getting the same answer."""
        return drive(self.adapter.send(delivery, self.known), answer, MOST).result

    def silent(self, delivery: Delivery, *, sent: bool) -> Outcome | NoAnswer:
        """Carry out a delivery, every request getting no answer."""
        exchange = self.adapter.send(delivery, self.known)
        silence = NoAnswer("timeout", sent=sent)
        try:
            next(exchange)
            for _ in range(MOST):
                exchange.throw(silence)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        except NoAnswer as passed:
            return passed
        raise AssertionError(f"{_named(delivery)}: asks on and on though nobody answers")


def _named(delivery: Delivery) -> str:
    return type(delivery.action).__name__


def _told(answer: Response) -> str:
    return f"{answer.status} {answer.body[:40]!r}"
