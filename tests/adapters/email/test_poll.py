"""The mailbox as a long poll: where it begins, what is flagged when, and UIDs that begin anew."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dragoman import wire
from dragoman.adapter import Known, Polled
from dragoman.adapters.email import Email
from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.wire import Credential, Expired, Imap, Mail, Mailbox, Response

Account = Callable[..., Email]
Letter = Callable[..., bytes]
NOW = 1_767_406_614.0


def known_at(cursor: str = "", now: float = NOW) -> Known:
    return Known(now=now, cursor=cursor)


def asked(account: Email, cursor: str = "") -> Imap:
    request = next(account.poll(known_at(cursor)))
    assert isinstance(request, Imap)
    return request


def answer(*mails: Mail, validity: int = 3, following: int = 10) -> Response:
    return wire.json_response(Mailbox(validity=validity, next=following, mails=mails))


def polled(account: Email, cursor: str, *mails: Mail, **mailbox: int) -> Polled:
    return wire.run(account.poll(known_at(cursor)), answer(*mails, **mailbox))


def begun(account: Email, following: int = 10) -> str:
    """Return the cursor after the first look into a folder."""
    return polled(account, "", following=following).cursor


def texts(result: Polled) -> list[str]:
    return [event.text for event in result.receipt.events]


def test_the_first_look_begins_at_the_folders_end(account: Account) -> None:
    first = asked(account())
    assert (first.validity, first.after, first.folder) == (0, 0, "INBOX")
    result = polled(account(), "", following=10)
    assert result.receipt.events == ()
    later = asked(account(), result.cursor)
    assert (later.validity, later.after, later.seen, later.since) == (3, 9, (), 0.0)


def test_the_server_is_named_and_no_secret_is_carried(account: Account) -> None:
    request = asked(account(user="ada"))
    assert (request.server.host, request.server.port, request.server.user) == ("imap.example.org", 993, "ada")
    assert request.server.auth == Credential(name="password")
    starttls = asked(account(imap_security="starttls")).server
    assert (starttls.port, starttls.security) == (143, "starttls")


def test_new_mails_are_read_in_their_order(account: Account, letter: Letter) -> None:
    mails = [
        Mail(uid=uid, at=NOW, size=1, raw=letter(f"mail {uid}", Message_ID=f"<{uid}@example.net>")) for uid in (12, 10)
    ]
    result = polled(account(), begun(account()), *mails)
    assert texts(result) == ["mail 10", "mail 12"]
    assert asked(account(), result.cursor).after == 12


def test_a_mail_is_flagged_only_after_it_was_stored(account: Account, letter: Letter) -> None:
    cursor = begun(account())
    mail = Mail(uid=10, at=NOW, size=1, raw=letter())
    assert asked(account(), cursor).seen == ()
    stored = polled(account(), cursor, mail).cursor
    assert asked(account(), stored).seen == (10,)
    assert asked(account(), polled(account(), stored).cursor).seen == ()


def test_what_was_left_alone_stays_unread(account: Account, letter: Letter) -> None:
    mail = Mail(uid=10, at=NOW, size=1, raw=letter(List_Id="<x>"))
    result = polled(account(), begun(account()), mail)
    assert result.receipt.ignored == ("list",)
    assert (asked(account(), result.cursor).seen, asked(account(), result.cursor).after) == ((), 10)


def test_the_last_mail_that_a_server_repeats_is_not_read_again(account: Account, letter: Letter) -> None:
    result = polled(account(), begun(account()), Mail(uid=9, at=NOW, size=1, raw=letter()))
    assert result.receipt.events == ()
    assert asked(account(), result.cursor).after == 9


def test_a_strange_mail_holds_up_no_other(account: Account, letter: Letter) -> None:
    mails = Mail(uid=10, at=NOW, size=1, raw=b"strange"), Mail(uid=11, at=NOW, size=1, raw=letter())
    result = polled(account(), begun(account()), *mails)
    assert result.receipt.malformed == (b"strange",)
    assert texts(result) == ["Hello"]
    assert asked(account(), result.cursor).seen == (10, 11)


def test_attachments_name_their_mail(account: Account, letter: Letter) -> None:
    raw = letter("GIF", Content_Type="image/gif")
    (event,) = polled(account(), begun(account()), Mail(uid=10, at=NOW, size=1, raw=raw)).receipt.events
    assert [file.id for file in event.attachments] == ["3:10:1"]


def test_of_a_large_mail_the_header_is_enough(account: Account, letter: Letter) -> None:
    mail = Mail(uid=10, at=NOW, size=60 << 20, raw=letter(""), whole=False)
    (event,) = polled(account(), begun(account()), mail).receipt.events
    assert event.value["unsupported"] is True


class TestUidsThatBeginAnew:
    """A folder that was made anew: old mail must not be answered again."""

    def cursor(self, account: Email, letter: Letter) -> str:
        """Read a mail that arrived at `NOW`, then find the folder made anew with 20 mails."""
        read = polled(account, begun(account), Mail(uid=10, at=NOW, size=1, raw=letter()))
        result = polled(account, read.cursor, validity=4, following=21)
        assert result.receipt.events == ()
        return result.cursor

    def test_only_what_arrived_since_is_asked_for(self, account: Account, letter: Letter) -> None:
        request = asked(account(), self.cursor(account(), letter))
        assert (request.validity, request.after, request.since, request.seen) == (4, 0, NOW, ())

    def test_old_mail_is_not_answered_whatever_the_server_brings(self, account: Account, letter: Letter) -> None:
        old = Mail(uid=1, at=NOW - 60, size=1, raw=letter("old", Message_ID="<old@example.net>"))
        same = Mail(uid=2, at=NOW, size=1, raw=letter("the same"))
        new = Mail(uid=3, at=NOW + 60, size=1, raw=letter("new", Message_ID="<new@example.net>"))
        result = polled(account(), self.cursor(account(), letter), old, same, new, validity=4, following=21)
        assert texts(result) == ["the same", "new"]  # the store knows the key of what it had
        assert result.receipt.events[0].key == "<one@example.net>"
        assert result.receipt.ignored == ("old",)

    def test_mail_that_was_only_moved_is_old_too(self, account: Account, letter: Letter) -> None:
        raw = letter("old", Message_ID="<old@example.net>", Date="Sat, 27 Dec 2025 00:00:00 +0000")
        moved = Mail(uid=1, at=NOW + 60, size=1, raw=raw)
        result = polled(account(), self.cursor(account(), letter), moved, validity=4, following=21)
        assert (texts(result), result.receipt.ignored) == ([], ("old",))

    def test_mail_of_the_second_in_which_the_bot_began_is_not_old(self, account: Account, letter: Letter) -> None:
        begun = wire.run(account().poll(known_at(now=NOW + 0.7)), answer(following=1)).cursor
        anew = polled(account(), begun, validity=4, following=2).cursor
        mail = Mail(uid=1, at=NOW, size=1, raw=letter("of that second"))  # a server tells whole seconds
        assert texts(polled(account(), anew, mail, validity=4, following=2)) == ["of that second"]

    def test_beyond_the_old_end_everything_is_new(self, account: Account, letter: Letter) -> None:
        raw = letter("late", Date="Sat, 27 Dec 2025 00:00:00 +0000")
        late = Mail(uid=21, at=NOW - 60, size=1, raw=raw)
        result = polled(account(), self.cursor(account(), letter), late, validity=4, following=22)
        assert texts(result) == ["late"]
        assert asked(account(), result.cursor).since == 0.0

    def test_the_search_ends_when_nothing_more_comes(self, account: Account, letter: Letter) -> None:
        result = polled(account(), self.cursor(account(), letter), validity=4, following=21)
        assert asked(account(), result.cursor).since == 0.0


def test_a_refused_login_needs_the_operator(account: Account) -> None:
    result = wire.run(account().poll(known_at("")), CredentialRefused("no"))
    assert (result.halt, result.cursor) == ("login_refused", "")
    assert result.after >= 60


def test_a_dead_token_is_renewed_once(account: Account) -> None:
    exchange = account(login="xoauth2").poll(known_at(""))
    first = next(exchange)
    assert isinstance(first, Imap)
    assert first.server.auth == Credential(name="access_token")
    assert exchange.throw(CredentialRefused("expired")) == Expired(credential=Credential(name="access_token"))
    assert exchange.send(Response(status=204)) == first
    with pytest.raises(StopIteration) as stopped:
        exchange.throw(CredentialRefused("expired"))
    assert stopped.value.value.halt == "login_refused"


def test_silence_is_the_clients_to_judge(account: Account) -> None:
    with pytest.raises(NoAnswer):
        wire.run(account().poll(known_at("")), NoAnswer("timeout", sent=False))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"validity": "x"}', b"\xff"])
def test_an_answer_that_is_none_leaves_the_cursor(account: Account, body: bytes) -> None:
    cursor = begun(account())
    result = wire.run(account().poll(known_at(cursor)), Response(body=body))
    assert (result.cursor, result.receipt.events) == (cursor, ())
    assert result.after > 0


@pytest.mark.parametrize("cursor", ["x", "[]", json.dumps({"v": 99, "validity": 3, "uid": 5})])
def test_a_cursor_that_is_none_of_ours_is_a_beginning(account: Account, cursor: str) -> None:
    assert asked(account(), cursor).validity == 0


def test_another_folder_has_a_beginning_of_its_own(account: Account) -> None:
    cursor = begun(account())
    for changed in (account(folder="Bots"), account(user="other"), account(imap_host="other.example.org")):
        assert asked(changed, cursor).validity == 0


def test_a_folder_without_uids_is_not_read(account: Account, letter: Letter) -> None:
    result = polled(account(), "", Mail(uid=10, at=NOW, size=1, raw=letter()), validity=0)
    assert (result.receipt.events, result.cursor) == ((), "")


def test_the_cursor_says_its_version(account: Account) -> None:
    cursor: dict[str, Any] = json.loads(begun(account()))
    assert cursor["v"] == 1
