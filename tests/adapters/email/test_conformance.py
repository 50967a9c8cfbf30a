"""E-mail under the certification kit: the shared vectors, and the hard tests by inheritance."""

from pathlib import Path

import pytest

from dragoman.adapters.email import Email
from dragoman.model import Address, Secret
from dragoman.testing.conformance import AdapterSuite, run_vectors

VECTORS = Path(__file__).parents[3] / "../shared/platforms/vectors/email.json"
TICKET = {"v": 1, "to": ["ada@example.net"], "subject": "Hi", "message_id": "<1@example.net>", "references": []}


class TestEmail(AdapterSuite):
    """With a password."""

    adapter = Email(
        account="mail",
        address="bot@example.org",
        imap_host="imap.example.org",
        smtp_host="smtp.example.org",
        password=Secret("a-password-of-this-suite"),
    )
    now = 1_767_406_614.0
    webhooks = False

    def address(self) -> Address:
        return Address(account="mail", channel="ada@example.net", thread="<1@example.net>", ticket=TICKET)


class TestEmailByOAuth(TestEmail):
    """With OAuth2."""

    adapter = Email(
        account="mail",
        address="bot@example.org",
        imap_host="imap.example.org",
        smtp_host="smtp.example.org",
        login="xoauth2",
        token_url="https://login.example.org/token",
        client_id="an-app",
        client_secret=Secret("a-client-secret-of-this-suite"),
        refresh_token=Secret("a-refresh-token-of-this-suite"),
    )


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside this checkout")
def test_all_vectors_pass() -> None:
    results = run_vectors("email", VECTORS)
    assert [result.line for result in results if result.status != "ok"] == []
    assert results
