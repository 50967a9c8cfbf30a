"""The standard library as the judge: what it writes, we read as it does; and whatever the bytes, we read them."""

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import getaddresses

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dragoman.adapter import Known, Payload
from dragoman.adapters.email import Email, charsets, headers, html, mime, reply
from dragoman.errors import Malformed
from dragoman.model import Event

ACCOUNT = Email(account="mail", address="bot@example.org", imap_host="i", smtp_host="s", authserv_id="mx")
KNOWN = Known(now=1_767_406_614.0)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs", "Cn", "Co")), min_size=1, max_size=30)
HEAD = b"From: ada@example.net\nTo: bot@example.org\nSubject: x\nMessage-ID: <1@x>\n"


def events(raw: bytes) -> tuple[Event, ...]:
    return ACCOUNT.parse(Payload(body=raw, headers={"place": "1:2"}), KNOWN).events


def composed(subject: str, body: str, charset: str = "utf-8", cte: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ada <ada@example.net>"
    message["To"] = "bot@example.org"
    message["Subject"] = subject
    message["Message-ID"] = "<1@example.net>"
    message.set_content(body, charset=charset, cte=cte)
    return message


@given(subject=st.lists(WORDS, min_size=1, max_size=8), body=st.lists(WORDS, min_size=1, max_size=8))
@pytest.mark.parametrize("cte", ["base64", "quoted-printable"])
def test_texts_and_subjects_are_read_as_they_were_written(cte: str, subject: list[str], body: list[str]) -> None:
    assume(not any(word.startswith((">", "=?")) or word == "--" for word in (*subject, *body)))
    raw = composed(" ".join(subject), "\n".join(body) + "\n", cte=cte).as_bytes()
    (event,) = events(raw)
    assert event.text_as_sent == "\n".join(body)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert event.value["subject"].replace(" ", "") == str(parsed["Subject"]).replace(" ", "")


@pytest.mark.parametrize(
    ("charset", "text"),
    [("iso-8859-15", "grüße €"), ("gb2312", "你好"), ("big5", "你好"), ("euc-jp", "すみません"), ("koi8-r", "привет")],
)
def test_charsets_are_read_as_they_were_written(charset: str, text: str) -> None:
    (event,) = events(composed("x", f"{text}\n", charset, "base64").as_bytes())
    assert event.text == text


@given(names=st.lists(WORDS, min_size=1, max_size=4), data=st.binary(max_size=200))
def test_attachments_are_the_parts_that_the_library_finds(names: list[str], data: bytes) -> None:
    message = composed("x", "see\n")
    for name in names:
        message.add_attachment(data, maintype="application", subtype="x-test", filename=name)
    raw = message.as_bytes(policy=email.policy.SMTP)
    (event,) = events(raw)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    found = list(parsed.iter_attachments())
    assert [file.size for file in event.attachments] == [len(data)] * len(names)
    assert [file.mime for file in event.attachments] == [part.get_content_type() for part in found]
    assert [file.id for file in event.attachments] == [f"1:2:{number + 2}" for number in range(len(names))]


@given(
    kinds=st.lists(st.sampled_from(["mixed", "related", "alternative"]), max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_trees_of_parts_are_the_librarys(kinds: list[str], end: str) -> None:
    raw = "Content-Type: text/x-leaf\n\nleaf\n"
    for level, kind in enumerate(kinds):
        head = f'Content-Type: multipart/{kind}; boundary="b{level}"\n\npreamble\n'
        raw = f"{head}--b{level}\n{raw}\n--b{level} \n\nsibling\n--b{level}--\nepilogue\n"
    wire = raw.replace("\n", end).encode()
    ours = [(part.mime, part.body) for part in mime.parse(wire).walk() if not part.parts]
    leaves = [part for part in email.message_from_bytes(wire).walk() if not part.is_multipart()]
    assert ours == [(part.get_content_type(), str(part.get_payload()).encode()) for part in leaves]


@pytest.mark.parametrize(
    "value",
    [
        "a@example.org, B <b@example.org>",
        '"C, D" <c@example.org>, (note) e@example.org',
        "Group: f@example.org, g@example.org;, h@example.org",
        "<i@example.org>",
    ],
)
def test_addresses_are_the_librarys(value: str) -> None:
    assert [found.address for found in headers.addresses(value)] == [
        pair[1] for pair in getaddresses([value]) if pair[1]
    ]


@given(raw=st.binary(max_size=600))
def test_any_bytes_are_a_mail_or_refused(raw: bytes) -> None:
    reads(raw)


FRAGMENTS = st.sampled_from(
    [
        *(
            b"--b\n",
            b"--b--\n",
            b"\n",
            b"\r\n",
            b"\n\n",
            b" ",
            b"> ",
            b"-- \n",
            b"=?utf-8?q?=41?=",
            b'"',
            b"<",
            b"(",
            b";",
        ),
        b'Content-Type: multipart/mixed; boundary="b"\n',
        b"Content-Type: multipart/alternative; boundary=b\n",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n",
        b"Content-Type: message/delivery-status\n",
        b"Content-Type: message/rfc822; name*0*=utf-7'x'+2AA\n",
        b"Content-Type: text/html; charset=utf-16\n",
        b"Content-Type: text/plain; charset=utf-7; format=flowed\n",
        b"Content-Disposition: attachment; filename*=idna''%ff\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"From: MAILER-DAEMON@x.org\n",
        b"Date: 31 Feb 99999\n",
        b"References: <a@b> <c",
        b"Authentication-Results: mx; dkim=pass header.d=",
        b"Final-Recipient: rfc822; ",
        b"<a href='",
        b"<script>",
        b"&#xd800;",
        b"\xff\xfe\xd8",
        b"+2AA-",
        b"On x wrote:\n",
    ]
)


@given(pieces=st.lists(FRAGMENTS | st.binary(max_size=6), max_size=30), headed=st.booleans())
def test_any_mixture_of_what_mails_are_made_of_is_read(pieces: list[bytes], headed: bool) -> None:
    reads((HEAD if headed else b"") + b"".join(pieces))


def reads(raw: bytes) -> None:
    """Read a mail; what comes of it can be stored."""
    try:
        found = events(raw)
    except Malformed:
        return
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Event, ...]) == found


@given(text=st.text())
def test_any_text_is_html_and_has_a_reply(text: str) -> None:
    html.to_text(text)
    assert bool(reply.alone(text)) == bool(text.strip())
    charsets.line(text).encode()


TEN = 10 << 20
NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(300))
HTML = HEAD + b"Content-Type: text/html\n\n"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "lines": lambda: HEAD + b"\n" * TEN,
    "fields": lambda: HEAD + b"a:\n" * (TEN // 3),
    "one folded field": lambda: HEAD + b"Cc:" + b" a\n" * (TEN // 3),
    "open comments": lambda: HEAD + b"Cc: " + b"(" * TEN,
    "open quotes": lambda: HEAD + b'Cc: "' + b'\\"' * (TEN // 2) + b"\\",
    "encoded words": lambda: HEAD + b"Subject: " + b"=?utf-8?q?=41?= " * (TEN // 16),
    "deep parts": lambda: HEAD + NESTED + b"\n" * TEN,
    "near boundaries": lambda: HEAD + b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--ab\n" * (TEN // 5),
    "many parts": lambda: HEAD + b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\n" * (TEN // 5),
    "attributions": lambda: HEAD + b"\n" + (b"on " + b"wrote " * 60 + b":\n") * (TEN // 364),
    "header blocks": lambda: HEAD + b"\n" + b"From: x\n" * (TEN // 8),
    "base64": lambda: HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"Cg" * (TEN // 2),
    "open tags": lambda: HTML + b"<a " * (TEN // 3),
    "open values": lambda: HTML + b"<a b='" * (TEN // 6),
    "odd values": lambda: HTML + b'<a =">' * (TEN // 6),
    "open comment": lambda: HTML + b"<!--" * (TEN // 4),
    "quotes": lambda: HTML + b"<blockquote>" * (TEN // 12),
    "scripts": lambda: HTML + b"<script></script" * (TEN // 16),
    "entities": lambda: HTML + b"&" * TEN,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mail_of_ten_megabytes_is_read_at_once(name: str, cpu: Callable[[], float]) -> None:
    raw = HOSTILE[name]()
    began = cpu()
    events(raw)
    assert cpu() - began < 2.0
