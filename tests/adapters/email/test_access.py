"""Tokens, the probe, the files of mails, and settings that are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known, Me, Token
from dragoman.adapters.email import Email
from dragoman.errors import CredentialRefused, MediaRefused, NoAnswer
from dragoman.model import Attachment, Media, Secret
from dragoman.wire import Credential, Http, Imap, ImapPart, Mailbox, Response

Account = Callable[..., Email]

OAUTH: dict[str, Any] = {
    "login": "xoauth2",
    "password": Secret(),
    "token_url": "https://login.example.org/token",
    "client_id": "an-app",
    "refresh_token": Secret("a-refresh-token"),
    "scope": "mail offline_access",
}


def test_a_token_is_granted_by_the_refresh_token(account: Account, known: Known) -> None:
    oauth = account(**OAUTH, client_secret=Secret("a-client-secret"))
    request = next(oauth.grant("access_token", "", known))
    assert isinstance(request, Http)
    assert request.form == {
        "grant_type": "refresh_token",
        "refresh_token": Credential(name="refresh_token"),
        "client_id": "an-app",
        "client_secret": Credential(name="client_secret"),
        "scope": "mail offline_access",
    }
    answer = wire.json_response({"access_token": "t", "expires_in": 3599, "refresh_token": "next", "token_type": "x"})
    token = wire.run(oauth.grant("access_token", "", known), answer)
    assert token == Token(value="t", expires_in=3599.0, refresh="next")


def test_a_grant_that_is_refused_is_the_operators(account: Account, known: Known) -> None:
    answer = wire.json_response({"error": "invalid_grant"}, 400)
    with pytest.raises(CredentialRefused, match="invalid_grant"):
        wire.run(account(**OAUTH).grant("access_token", "", known), answer)


@pytest.mark.parametrize("answer", [Response(status=503), Response(body=b"{}"), Response(body=b"<html>")])
def test_trouble_of_the_token_server_passes(account: Account, known: Known, answer: Response) -> None:
    with pytest.raises(NoAnswer):
        wire.run(account(**OAUTH).grant("access_token", "", known), answer)


def test_no_other_token_is_granted(account: Account, known: Known) -> None:
    with pytest.raises(KeyError):
        next(account(**OAUTH).grant("other", "", known))


def test_a_probe_looks_into_the_folder_without_waiting(account: Account, known: Known) -> None:
    request = next(account().probe(known))
    assert isinstance(request, Imap)
    assert (request.wait, request.validity, request.seen) == (0.0, 0, ())
    found = wire.run(account(display_name="Bot").probe(known), wire.json_response(Mailbox(validity=3, next=9)))
    assert (found.me, found.problems) == (Me(id="bot@example.org", name="Bot"), ())


def test_a_probe_names_the_remedy(account: Account, known: Known) -> None:
    refused = wire.run(account().probe(known), CredentialRefused("the login is refused"))
    assert "app password" in refused.problems[0]
    (missing,) = wire.run(account(folder="Bots").probe(known), Response(status=404)).problems
    assert "Bots" in missing


def test_a_file_is_fetched_out_of_its_mail(account: Account, known: Known) -> None:
    file = Attachment(kind="file", id="3:7:2.1", name="a.pdf", mime="application/pdf")
    request = next(account().fetch(file, known))
    assert isinstance(request, ImapPart)
    assert (request.folder, request.validity, request.uid, request.part) == ("INBOX", 3, 7, "2.1")
    got = wire.run(account().fetch(file, known), Response(media=Media(ref="0" * 64, size=5)))
    assert (got.name, got.mime, got.size) == ("a.pdf", "application/pdf", 5)


@pytest.mark.parametrize("name", ["", "1", "3:7", "3:7:", "3:7:0", "3:7:1\r\nA1 DELETE", "a:b:c", "3:7:1.2x"])
def test_what_names_no_part_is_not_asked_for(account: Account, known: Known, name: str) -> None:
    with pytest.raises(MediaRefused):
        next(account().fetch(Attachment(kind="file", id=name), known))


@pytest.mark.parametrize("answer", [Response(status=404), Response(), CredentialRefused("no")])
def test_a_file_that_is_gone_is_refused(account: Account, known: Known, answer: Response | Exception) -> None:
    with pytest.raises(MediaRefused):
        wire.run(account().fetch(Attachment(kind="file", id="3:7:1"), known), answer)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"address": "bot"}, "address"),
        ({"aliases": ("x",)}, "aliases"),
        ({"imap_host": "https://imap.example.org"}, "imap_host"),
        ({"smtp_host": "smtp.example.org:465"}, "smtp_host"),
        ({"smtp_port": 70_000}, "smtp_port"),
        ({"imap_security": "none"}, "imap_security"),
        ({"password": Secret()}, "password is empty"),
        ({"refresh_token": Secret("r")}, "login = xoauth2"),
        ({**OAUTH, "token_url": "http://login.example.org"}, "token_url"),
        ({**OAUTH, "client_id": ""}, "client_id"),
        ({**OAUTH, "refresh_token": Secret()}, "refresh_token"),
        ({"folder": " "}, "folder"),
        ({"idle": 5000.0}, "idle"),
        ({"largest": 1}, "largest"),
        ({"only_verified": True}, "authserv_id"),
        ({"display_name": "a\nb"}, "display_name"),
    ],
)
def test_wrong_settings_are_told_in_one_line(account: Account, settings: dict[str, Any], told: str) -> None:
    (problem,) = account(**settings).check()
    assert told in problem


def test_right_settings_are_accepted(account: Account) -> None:
    assert list(account().check()) == []
    assert list(account(**OAUTH).check()) == []
    assert list(account(imap_security="none", imap_host="127.0.0.1").check()) == []
