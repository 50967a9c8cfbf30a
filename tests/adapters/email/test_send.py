"""A reply as a mail, judged by the standard library's parser; and what the server's word means for it."""

import email
import email.policy
from collections.abc import Callable
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import wire
from dragoman.adapter import Known, Payload
from dragoman.adapters.email import Email
from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.model import Address, Attachment, Button, Delivery, Edit, Event, Media, Message, Say
from dragoman.wire import Credential, Expired, Outcome, Refused, Response, Retry, Sent, Smtp, Unsure

Account = Callable[..., Email]
Letter = Callable[..., bytes]
One = Callable[..., Event]

KNOWN = Known(now=1_767_406_614.0)
TICKET = {
    "v": 1,
    "to": ["ada@example.net"],
    "cc": [],
    "subject": "A question",
    "message_id": "<one@example.net>",
    "references": ["<root@example.net>"],
}
ADDRESS = Address(account="mail", channel="ada@example.net", thread="<root@example.net>", ticket=TICKET)


def to_send(message: Message | str, address: Address = ADDRESS, key: str = "t:0:0") -> Delivery:
    said = Message(text=message) if isinstance(message, str) else message
    return Delivery(id=1, key=key, action=Say(message=said), address=address, conversation="mail/x")


def request(account: Email, delivery: Delivery) -> Smtp:
    asked = next(account.send(delivery, KNOWN))
    assert isinstance(asked, Smtp)
    return asked


def written(account: Email, delivery: Delivery) -> EmailMessage:
    """Read the mail as others will."""
    raw = request(account, delivery).message
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert [part.defects for part in parsed.walk()] == [[]] * len(list(parsed.walk()))
    return parsed


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert isinstance(found, EmailMessage)
    return str(found.get_content()).replace("\r\n", "\n").rstrip("\n")


def judged(account: Email, response: Response | Exception) -> Outcome:
    return wire.run(account.send(to_send("hello"), KNOWN), response)


def said(status: int, text: str = "") -> Response:
    return Response(status=status, body=text.encode())


def test_a_reply_is_text_and_html(account: Account) -> None:
    mail = written(account(), to_send("Hello **world** & [all](https://example.org/) 你好"))
    assert mail.get_content_type() == "multipart/alternative"
    assert part(mail, "plain") == "Hello world & all (https://example.org/) 你好"
    assert "<p>Hello <strong>world</strong> &amp; <a href=" in part(mail, "html")


def test_a_reply_stays_in_its_thread(account: Account) -> None:
    mail = written(account(), to_send("hello"))
    assert (mail["To"], mail["From"], mail["Subject"]) == ("ada@example.net", "bot@example.org", "Re: A question")
    assert mail["In-Reply-To"] == "<one@example.net>"
    assert mail["References"] == "<root@example.net> <one@example.net>"
    assert mail["Date"] == "Sat, 03 Jan 2026 02:16:54 -0000"


def test_a_reply_says_that_a_machine_wrote_it(account: Account) -> None:
    mail = written(account(), to_send("hello"))
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-replied", "All")
    assert mail["X-Loop"] == "bot@example.org"


def test_the_id_is_the_same_however_often_it_is_tried(account: Account) -> None:
    first, again = (request(account(), to_send("hello")) for _ in range(2))
    assert first == again
    other = written(account(), to_send("hello", key="t:1:0"))["Message-ID"]
    assert written(account(), to_send("hello"))["Message-ID"] != other
    assert other.endswith("@example.org>")
    assert judged(account(), said(250)) == Sent(ids=(written(account(), to_send("hello"))["Message-ID"],))


def test_what_answers_our_reply_is_known_as_such(account: Account, letter: Letter, one: One) -> None:
    message_id = written(account(), to_send("hello"))["Message-ID"]
    event = one(letter(In_Reply_To=message_id, References=f"<root@example.net> {message_id}"))
    assert event.value["reply_to_bot"] is True
    assert event.value["thread_root"] == "<root@example.net>"


def test_our_own_reply_is_never_answered(account: Account) -> None:
    raw = request(account(), to_send("hello")).message.replace(b"To: ada@example.net", b"To: other@example.com")
    other = account(address="other@example.com")
    ours = account().parse(payload(raw.replace(b"other@example.com", b"bot@example.org")), KNOWN)
    assert ours.ignored == ("self",)
    assert other.parse(payload(raw), KNOWN).ignored == ("automatic:auto-submitted",)


def payload(raw: bytes) -> Payload:
    return Payload(body=raw)


def test_the_event_of_a_mail_is_answered_to_its_sender(account: Account, letter: Letter, one: One) -> None:
    event = one(letter(Subject="Re: AW: Zwei Wörter", Reply_To="desk@example.net", References="<root@example.net>"))
    sent = request(account(), to_send("hello", event.address))
    assert sent.recipients == ("desk@example.net",)
    mail = written(account(), to_send("hello", event.address))
    assert (mail["Subject"], mail["In-Reply-To"]) == ("Re: Zwei Wörter", "<one@example.net>")


@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        ("Hi", "Re: Hi"),
        ("RE: Hi", "Re: Hi"),
        ("Re[2]: Hi", "Re: Hi"),
        ("AW: Re: SV: Hi", "Re: Hi"),
        ("Antw: Hi", "Re: Hi"),
        ("回复：你好", "Re: 你好"),
        ("Recipe: soup", "Re: Recipe: soup"),
        ("", "Re:"),
    ],
)
def test_re_stands_once_before_a_subject(account: Account, subject: str, reply: str) -> None:
    address = msgspec.structs.replace(ADDRESS, ticket={**TICKET, "subject": subject})
    assert written(account(), to_send("hello", address))["Subject"].strip() == reply


def test_of_a_long_thread_the_first_and_the_last_ids_are_named(account: Account) -> None:
    ids = [f"<{number}{'x' * 200}@example.net>" for number in range(40)]
    address = msgspec.structs.replace(ADDRESS, ticket={**TICKET, "references": ids})
    references = written(account(), to_send("hello", address))["References"].split()
    assert references == [ids[0], *ids[-18:], "<one@example.net>"]


def test_a_mail_of_our_own_begins_a_thread(account: Account) -> None:
    address = Address(account="mail", channel="ada@example.net")
    mail = written(account(), to_send("**Good news:** it works\n\nBye", address))
    assert (mail["Subject"], mail["In-Reply-To"], mail["To"]) == ("Good news: it works", None, "ada@example.net")
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("channel", ["", "1", "no address", "ada@example.net\r\nBcc: eve@example.com"])
def test_where_nobody_can_be_written_to_nothing_is_sent(account: Account, channel: str) -> None:
    address = Address(account="mail", channel=channel)
    asked = account().send(to_send("hello", address), KNOWN)
    with pytest.raises(StopIteration) as stopped:
        next(asked)
    assert isinstance(stopped.value.value, Refused)


def test_a_line_break_in_a_field_is_refused(account: Account) -> None:
    broken = account(address="bot@example.org\r\nBcc: eve@example.com")
    with pytest.raises(StopIteration) as stopped:
        next(broken.send(to_send("hello"), KNOWN))
    assert isinstance(stopped.value.value, Refused)


HOSTILE = ["A\r\nBcc: eve@example.com", "A\nX: y", "A\r\n\r\nbody", "A\x00B", "\u2028A\x85B"]


@pytest.mark.parametrize("words", HOSTILE)
def test_no_value_begins_another_field(account: Account, words: str) -> None:
    ticket = {
        **TICKET,
        "subject": words,
        "message_id": f"<{words}@x>",
        "references": [words],
        "to": ["ada@example.net", words],
    }
    address = msgspec.structs.replace(ADDRESS, ticket=ticket)
    mail = written(account(display_name=words), to_send("hello", address))
    fields = {"From", "To", "Subject", "Date", "Message-ID", "References", "MIME-Version", "Content-Type"}
    ours = {"Auto-Submitted", "X-Auto-Response-Suppress", "X-Loop"}
    assert set(mail.keys()) <= fields | ours


@given(text=st.text(), subject=st.text(), name=st.text(max_size=60))
def test_every_text_comes_out_as_it_went_in(text: str, subject: str, name: str) -> None:
    address = msgspec.structs.replace(ADDRESS, ticket={**TICKET, "subject": subject})
    account = Email(account="mail", address="bot@example.org", imap_host="i", smtp_host="s", display_name=name)
    mail = written(account, to_send(f"x {text}", address))
    assert mail["To"] == "ada@example.net"
    assert mail["From"].addresses[0].addr_spec == "bot@example.org"


@pytest.mark.parametrize("name", ["Bot", "The Bot, Ltd.", 'Bot "x" \\', "Bøt 机器人" * 6])
def test_the_name_stands_beside_the_address(account: Account, name: str) -> None:
    raw = request(account(display_name=name), to_send("hello")).message
    shown, address = parseaddr(str(email.message_from_bytes(raw)["From"]))  # policy.default spaces long names out
    assert (str(make_header(decode_header(shown))), address) == (name, "bot@example.org")


def test_a_long_subject_beyond_ascii_is_whole(account: Account) -> None:
    subject = "Größe 尺寸 " * 30
    address = msgspec.structs.replace(ADDRESS, ticket={**TICKET, "subject": subject.strip()})
    assert written(account(), to_send("hello", address))["Subject"] == f"Re: {subject.strip()}"


def test_domains_are_written_in_ascii(account: Account) -> None:
    address = msgspec.structs.replace(ADDRESS, ticket={**TICKET, "to": ["ada@exämple.net"]})
    assert request(account(), to_send("hello", address)).recipients == ("ada@xn--exmple-cua.net",)


def test_buttons_and_links_are_written_into_the_text(account: Account) -> None:
    link = Attachment(kind="link", url="https://example.org/a", name="a page")
    buttons = (Button(text="Yes", value="y"), Button(text="See", url="https://example.org/b"))
    mail = written(account(), to_send(Message(text="Well?", attachments=(link,), buttons=buttons)))
    assert part(mail, "plain") == "Well?\n\na page (https://example.org/a)\n\n- Yes\n- See (https://example.org/b)"


def test_files_are_handed_to_the_way_out(account: Account) -> None:
    media = Media(ref="0" * 64, size=9, mime="image/png", name="x.png")
    file = Attachment(kind="image", name="../a\r\nb.png", media=media)
    sent = request(account(), to_send(Message(text="look", attachments=(file,))))
    assert [(each.filename, each.media) for each in sent.attachments] == [("_a b.png", media)]
    large = msgspec.structs.replace(file, media=msgspec.structs.replace(media, size=30 << 20))
    with pytest.raises(StopIteration) as stopped:
        next(account().send(to_send(Message(attachments=(large,))), KNOWN))
    assert isinstance(stopped.value.value, Refused)


@pytest.mark.parametrize(
    ("response", "outcome", "scope"),
    [
        (said(421, "4.3.2 shutting down"), Retry, "account"),
        (said(450, "4.2.0 greylisted"), Retry, "message"),
        (said(451, "4.7.1 try later"), Retry, "message"),
        (said(454, "4.7.0 temporary authentication failure"), Retry, "account"),
        (said(530, "5.7.0 authentication required"), Refused, "account"),
        (said(535, "5.7.8 bad credentials"), Refused, "account"),
        (said(550, "5.1.1 no such user"), Refused, "conversation"),
        (said(550, "5.7.1 rejected"), Refused, "message"),
        (said(552, "5.2.2 mailbox full"), Refused, "message"),
        (said(552, "5.3.4 too big"), Refused, "message"),
        (said(554, "5.7.1 spam"), Refused, "message"),
    ],
)
def test_the_servers_code_is_the_outcome(account: Account, response: Response, outcome: type, scope: str) -> None:
    found = judged(account(), response)
    assert isinstance(found, outcome)
    assert getattr(found, "scope", "") == scope
    assert str(response.status) in getattr(found, "reason", "")


def test_a_mail_that_is_too_large_is_said_to_be(account: Account) -> None:
    assert "too large" in getattr(judged(account(), said(523, "5.3.4 message too big")), "reason", "")
    assert "too large" not in getattr(judged(account(), said(552, "5.2.2 mailbox full")), "reason", "")


def test_a_server_that_says_something_else_leaves_us_unsure(account: Account) -> None:
    assert isinstance(judged(account(), said(354)), Unsure)


def test_silence_after_the_mail_is_the_clients_to_judge(account: Account) -> None:
    with pytest.raises(NoAnswer):
        judged(account(), NoAnswer("timeout", sent=True))
    assert Email.capabilities.idempotent_send == 0.0


def test_a_refused_login_stops_the_account(account: Account) -> None:
    assert judged(account(), CredentialRefused("no")) == Refused(reason="no", scope="account")


@pytest.mark.parametrize("refusal", [CredentialRefused("expired"), said(535, "5.7.8 expired")])
def test_a_dead_token_is_renewed_once(account: Account, refusal: Response | Exception) -> None:
    oauth = account(login="xoauth2")
    exchange = oauth.send(to_send("hello"), KNOWN)
    first = next(exchange)
    renewed = exchange.throw(refusal) if isinstance(refusal, Exception) else exchange.send(refusal)
    assert renewed == Expired(credential=Credential(name="access_token"))
    assert exchange.send(Response(status=204)) == first
    assert isinstance(wire.run(oauth.send(to_send("x"), KNOWN), refusal, said(204), said(250)), Sent)
    again = wire.run(oauth.send(to_send("x"), KNOWN), refusal, said(204), refusal)
    assert isinstance(again, Refused)
    assert again.scope == "account"


def test_there_is_nothing_to_edit_in_a_mail(account: Account) -> None:
    delivery = msgspec.structs.replace(to_send("x"), action=Edit(message_id="1", message=Message(text="y")))
    with pytest.raises(StopIteration) as stopped:
        next(account().send(delivery, KNOWN))
    assert isinstance(stopped.value.value, Refused)
