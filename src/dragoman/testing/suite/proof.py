"""What a forged request looks like, and that each is refused."""

import dataclasses
from collections.abc import Iterator

import msgspec

from dragoman.model import Secret
from dragoman.testing.suite.subject import Subject
from dragoman.wire import Http


class ProofTests(Subject):
    """Only what carries the whole proof, unaltered and of this account, is taken."""

    def test_a_genuine_request_is_accepted(self) -> None:
        """The rest of these tests means nothing without this one."""
        requests = self.genuine()
        assert requests, "genuine() gives no request"
        for request in requests:
            assert not self.refuses(request), f"a genuine request is refused: {_named(request)}"

    def test_a_request_without_proof_is_refused(self) -> None:
        """Absence of a proof is forgery."""
        for request in self.genuine():
            bare = self.without_proof(request)
            assert bare != request, "genuine() carries no proof that this suite knows: override without_proof"
            assert self.refuses(bare), f"accepted without proof: {_named(request)}"

    def test_a_request_that_lacks_any_part_of_its_proof_is_refused(self) -> None:
        """A timestamp without a signature proves nothing, nor the other way round."""
        for request in self.genuine():
            for part, name in self.proofs(request):
                rest = {key: value for key, value in getattr(request, part).items() if key != name}
                lacking = msgspec.structs.replace(request, **{part: rest})
                assert self.refuses(lacking), f"accepted without {name}: {_named(request)}"

    def test_an_empty_proof_is_refused(self) -> None:
        """An empty text is no proof, not even of a secret that nobody set."""
        for request in self.genuine():
            for part, name in self.proofs(request):
                emptied = msgspec.structs.replace(request, **{part: {**getattr(request, part), name: ""}})
                assert self.refuses(emptied), f"accepted with an empty {name}: {_named(request)}"

    def test_a_proof_with_any_character_altered_is_refused(self) -> None:
        """Also one that is shorter or longer by a character."""
        for request in self.genuine():
            for part, name in self.proofs(request):
                values = getattr(request, part)
                for text in _altered(values[name]):
                    forged = msgspec.structs.replace(request, **{part: {**values, name: text}})
                    assert self.refuses(forged), f"accepted with an altered {name}: {_named(request)}"

    def test_a_body_with_any_byte_altered_is_refused(self) -> None:
        """Where the proof covers the body, it covers every byte of it."""
        for request in self.genuine() if self.signs_body else ():
            for body in _flipped(request.body):
                forged = msgspec.structs.replace(request, body=body)
                assert self.refuses(forged), f"accepted with an altered body: {_named(request)}"

    def test_a_proof_by_another_secret_is_refused(self) -> None:
        """What another account may say is not for this one."""
        another = self.another()
        assert another != self.adapter, "another() has the same secrets"
        for request in self.genuine():
            assert self.refuses(request, another), f"accepted by an account with another secret: {_named(request)}"

    def test_an_account_without_its_secrets_cannot_start(self) -> None:
        """Its settings are refused, or it takes no webhooks; in no case does it believe everybody."""
        blank = dataclasses.replace(self.adapter, **dict.fromkeys(self.secrets(), Secret()))  # type: ignore[arg-type]  # names of its own fields
        needed = {field.name for field in dataclasses.fields(blank) if field.default is dataclasses.MISSING}
        refused = needed & set(self.secrets()) or blank.check() or blank.mode() != "webhook"
        assert refused, "an account without secrets starts and takes webhooks"
        for request in self.genuine():
            assert self.refuses(request, blank), f"accepted by an account without secrets: {_named(request)}"


class StaleTests(Subject):
    """Where a proof has an age."""

    def test_a_stale_proof_is_refused(self) -> None:
        """Who recorded a request may not send it again another day."""
        request = self.stale()
        assert self.refuses(request), f"accepted though stale: {_named(request)}"


def _named(request: Http) -> str:
    return f"{request.method} {request.url} {request.body[:80]!r}"


def _altered(text: str) -> Iterator[str]:
    """Yield a text with each character replaced, and one too few and one too many.

    The replacement differs by more than its case, and by more than the bits that base64 leaves unused.
    """
    yield text[:-1]
    yield f"{text}0"
    for place, letter in enumerate(text):
        other = {"0": "8", "w": "A", "W": "B"}.get(letter, "0")
        yield text[:place] + other + text[place + 1 :]


def _flipped(body: bytes) -> Iterator[bytes]:
    """Yield a body with each byte altered, and one too few and one too many."""
    yield body[:-1]
    yield body + b" "
    for place, byte in enumerate(body):
        yield body[:place] + bytes([byte ^ 1]) + body[place + 1 :]
