"""What is never answered: machines, lists, bounces, ourselves; and what a bounce tells."""

from collections.abc import Callable

import pytest

from dragoman.adapter import Receipt
from dragoman.model import Event

Letter = Callable[..., bytes]
One = Callable[..., Event]
Read = Callable[..., Receipt]

REPORT = """--r
Content-Type: text/plain

It did not arrive.
--r
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; Bob@Example.net
Action: delayed
Status: 4.4.1

Final-Recipient: rfc822;
 eve@example.net
Action: failed
Status: 5.1.1 (no such user)
Diagnostic-Code: smtp; 550 5.1.1 no such user
--r
Content-Type: text/rfc822-headers

Subject: Re: A question
Message-ID: <dragoman.0a@example.org>
--r--
"""


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("Auto-Submitted", "auto-replied (vacation)", "automatic:auto-submitted"),
        ("Auto-Submitted", " Auto-Generated; x=y", "automatic:auto-submitted"),
        ("Return-Path", "<>", "automatic:null-sender"),
        ("From", "No-Reply <no-reply@example.net>", "automatic:sender"),
        ("From", "noreply-abc@example.net", "automatic:sender"),
        ("From", "DoNotReply@example.net", "automatic:sender"),
        ("From", "bounces+17@example.net", "automatic:sender"),
        ("Precedence", "Bulk", "automatic:precedence"),
        ("List-Id", "<friends.example.net>", "list"),
        ("List-Unsubscribe", "<mailto:x@example.net>", "list"),
        ("X-Auto-Response-Suppress", "OOF", "automatic:answerer"),
        ("X-Autoreply", "yes", "automatic:answerer"),
        ("Content-Type", "multipart/report; report-type=disposition-notification; boundary=r", "automatic:report"),
        ("From", "BOT@example.org", "self"),
        ("From", "bot+tag@example.org", "self"),
        ("From", "Help <help@example.org>", "self"),
        ("X-Loop", "bot@example.org", "loop"),
        ("To", "somebody@example.com", "bcc"),
        ("To", None, "bcc"),
    ],
)
def test_what_must_not_be_answered_is_left_alone(
    letter: Letter, read: Read, field: str, value: str | None, reason: str
) -> None:
    receipt = read(letter(**{field.replace("-", "_"): value}), aliases=("help@example.org",))
    assert (receipt.events, receipt.ignored) == ((), (reason,))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Auto-Submitted", "no"),
        ("Auto-Submitted", "NO (really)"),
        ("Return-Path", "<ada@example.net>"),
        ("Precedence", "first-class"),
        ("X-Loop", "other@example.org"),
        ("To", "bot+tag@example.org"),
        ("To", "Help@example.org"),
        ("From", "Norely <norely@example.net>"),
    ],
)
def test_what_people_write_is_answered(letter: Letter, one: One, field: str, value: str) -> None:
    assert one(letter(**{field.replace("-", "_"): value}), aliases=("help@example.org",)).wants_turn


def test_a_blind_copy_is_answered_when_that_is_wanted(letter: Letter, one: One) -> None:
    assert one(letter(To="somebody@example.com"), accept_bcc=True).wants_turn


def test_a_bounce_tells_what_became_of_which_mail(letter: Letter, one: One) -> None:
    kind = "multipart/report; report-type=delivery-status; boundary=r"
    event = one(letter(REPORT, From="MAILER-DAEMON@example.net", Content_Type=kind))
    assert (event.kind, event.wants_turn) == ("bounce", False)
    facts = {name: event.value[name] for name in ("action", "status", "final_recipient", "original_message_id")}
    assert facts == {
        "action": "failed",
        "status": "5.1.1",
        "final_recipient": "eve@example.net",
        "original_message_id": "<dragoman.0a@example.org>",
    }


def test_a_bounce_without_the_form_is_known_by_its_sender(letter: Letter, one: One) -> None:
    body = "Could not deliver to <eve@example.net>: 550 5.2.1 off\n\nMessage-ID: <dragoman.0a@example.org>\n"
    event = one(letter(body, From="Mail Delivery System <MAILER-DAEMON@mx.example.net>", Return_Path="<>"))
    assert (event.kind, event.wants_turn, event.value["status"]) == ("bounce", False, "5.2.1")
    assert event.value["original_message_id"] == "<dragoman.0a@example.org>"
    assert event.value["final_recipient"] == "eve@example.net"


def test_a_notice_that_a_mail_was_read_is_no_bounce(letter: Letter, read: Read) -> None:
    kind = "multipart/report; report-type=disposition-notification; boundary=r"
    receipt = read(letter("--r\n\nread\n--r--\n", From="postmaster@example.net", Content_Type=kind))
    assert (receipt.events, receipt.ignored) == ((), ("automatic:sender",))


def test_a_bounce_without_any_sender_is_one_too(letter: Letter, one: One) -> None:
    kind = "multipart/report; report-type=delivery-status; boundary=r"
    assert one(letter(REPORT, From="<>", Content_Type=kind)).kind == "bounce"
