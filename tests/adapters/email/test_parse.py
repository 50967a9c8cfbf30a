"""A mail as an event: who, what, in which thread; charsets, parts and files as they really come."""

import base64
from collections.abc import Callable

import pytest

from dragoman.adapter import Known, Payload, Receipt
from dragoman.adapters.email import Email
from dragoman.errors import Malformed
from dragoman.model import Event

Letter = Callable[..., bytes]
One = Callable[..., Event]
Read = Callable[..., Receipt]


def multipart(*parts: str, kind: str = "mixed") -> tuple[str, str]:
    """Return the Content-Type and the body of a multipart."""
    body = "".join(f"--b \n{part}\n" for part in parts)
    return f'multipart/{kind}; boundary="b"', f"{body}--b--\n"


def test_a_mail_says_who_where_and_what(letter: Letter, one: One) -> None:
    event = one(letter("Hello\n"))
    assert (event.sender.id, event.sender.name) == ("ada@example.net", "Ada")
    assert (event.kind, event.text, event.wants_turn, event.chat_kind) == ("message", "Hello", True, "direct")
    assert event.key == event.message_id == "<one@example.net>"
    assert event.conversation == "mail/ada@example.net/%3Cone@example.net%3E"
    assert event.value["subject"] == "A question"
    assert event.at == 1_767_406_614.0


def test_a_thread_is_one_conversation(letter: Letter, one: One) -> None:
    first = one(letter())
    later = one(
        letter(Message_ID="<3@x.org>", References="<one@example.net> <2@example.org>", In_Reply_To="<2@example.org>")
    )
    assert later.conversation == first.conversation
    assert later.reply_to == "<2@example.org>"
    assert (first.key, later.key) == ("<one@example.net>", "<3@x.org>")
    assert one(letter(Message_ID="<4@x.org>", In_Reply_To="<one@example.net>")).conversation == first.conversation


@pytest.mark.parametrize("unit", ["channel", "sender"])
def test_a_senders_mails_may_share_one_conversation(letter: Letter, one: One, unit: str) -> None:
    assert one(letter(), conversation=unit).conversation == "mail/ada@example.net"


def test_a_mail_without_an_id_has_the_same_key_whenever_it_is_fetched(letter: Letter, one: One) -> None:
    event = one(letter(Message_ID=None))
    assert event.key == one(letter(Message_ID=None)).key
    assert event.key != one(letter("Other\n", Message_ID=None)).key
    assert event.address.ticket["message_id"] == ""


def test_an_answer_goes_where_the_sender_wants_it(letter: Letter, one: One) -> None:
    assert one(letter(Reply_To="Desk <desk@example.net>")).address.ticket["to"] == ["desk@example.net"]
    for nowhere in ("bot@example.org", "no-reply@example.net", "nothing"):
        assert one(letter(Reply_To=nowhere)).address.ticket["to"] == ["ada@example.net"]


def test_others_make_a_group_in_which_to_is_an_address_and_cc_is_none(letter: Letter, one: One) -> None:
    named = one(letter(To="bot@example.org, eve@example.com"))
    copied = one(letter(To="eve@example.com", Cc="bot@example.org"))
    assert (named.chat_kind, named.mentions_bot) == ("group", True)
    assert (copied.chat_kind, copied.mentions_bot) == ("group", False)
    assert named.address.ticket["cc"] == []


def test_all_are_answered_only_when_that_is_wanted(letter: Letter, one: One) -> None:
    raw = letter(To="bot@example.org, eve@example.com", Cc="noreply@example.com")
    event = one(raw, reply_all=True)
    assert event.address.ticket["cc"] == ["eve@example.com"]
    other = one(letter(From="eve@example.com", To="bot@example.org, ada@example.net", References="<one@example.net>"))
    assert other.conversation != event.conversation
    shared = letter(From="eve@example.com", To="bot@example.org, ada@example.net", References="<one@example.net>")
    assert one(shared, reply_all=True).conversation == event.conversation


def test_a_reply_to_us_is_known_by_its_id(letter: Letter, one: One) -> None:
    assert one(letter(In_Reply_To="<dragoman.0a@example.org>")).value["reply_to_bot"] is True
    for other in ("<other@example.org>", "<dragoman.0a@other.example>"):
        assert one(letter(In_Reply_To=other)).value["reply_to_bot"] is False


def test_a_mail_with_nothing_but_a_subject_says_the_subject(letter: Letter, one: One) -> None:
    assert one(letter("\n", Subject="When do you open?")).text == "When do you open?"
    assert one(letter("\n", In_Reply_To="<x@example.org>")).text == ""


@pytest.mark.parametrize("sender", [None, "", "nobody at all", "undisclosed-recipients:;"])
def test_a_mail_that_names_no_sender_is_set_aside(letter: Letter, read: Read, sender: str | None) -> None:
    with pytest.raises(Malformed):
        read(letter(From=sender))


@pytest.mark.parametrize(
    ("field", "name", "address"),
    [
        ("ada@example.net", "", "ada@example.net"),
        ("ADA@Example.NET (Ada L.)", "Ada L.", "ada@example.net"),
        ('"Lovelace, Ada" <ada@example.net>', "Lovelace, Ada", "ada@example.net"),
        ('"A \\"the\\" B" <ada@example.net>', 'A "the" B', "ada@example.net"),
        ("=?utf-8?q?Ad=C3=A1?= =?utf-8?b?IEw=?= <ada@example.net>", "Adá L", "ada@example.net"),
        ('"=?utf-8?q?Ad=C3=A1?=" <ada@example.net>', "Adá", "ada@example.net"),
        ("Ada\n <ada@example.net>, Eve <eve@example.net>", "Ada", "ada@example.net"),
        ("Friends: Ada <ada@example.net>, b@example.net;", "Ada", "ada@example.net"),
        ("Ada (one (two) three) <ada@example.net>", "Ada", "ada@example.net"),
    ],
)
def test_senders_are_read_as_they_are_written(letter: Letter, one: One, field: str, name: str, address: str) -> None:
    sender = one(letter(From=field)).sender
    assert (sender.id, sender.name) == (address, name)


def test_letters_cut_in_two_encoded_words_are_joined(letter: Letter, one: One) -> None:
    raw = "すみません".encode()
    words = [f"=?utf-8?b?{base64.b64encode(part).decode()}?=" for part in (raw[:4], raw[4:])]
    assert one(letter(Subject="\n ".join(words))).value["subject"] == "すみません"


def test_a_strange_date_is_the_arrival(letter: Letter, one: One) -> None:
    for date in ("never", "99 Foo 20266 99:99", "Sat, 3 Jan 99999999 00:00:00 +0000", ""):
        assert one(letter(Date=date)).at == 1_767_406_614.0


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("utf-8", "grüße".encode(), "grüße"),
        ("iso-8859-1", b"gr\xfc\xdfe \x80", "grüße €"),
        ("us-ascii", "grüße".encode(), "grüße"),
        ("us-ascii", b"gr\xfc\xdfe", "grüße"),
        ("nonsense-9", "grüße".encode(), "grüße"),
        ("utf-8", b"gr\xfc\xdfe", "grüße"),
        ("gb2312", "你好囧".encode("gb18030"), "你好囧"),
        ("ks_c_5601-1987", "안녕".encode("cp949"), "안녕"),
        ("iso-2022-jp", "すみません".encode("iso2022_jp"), "すみません"),
        ("shift_jis", "①すみ".encode("cp932"), "①すみ"),
        ("iso-8859-8-i", "שלום".encode("iso8859_8"), "שלום"),
        ("koi8-r", "привет".encode("koi8-r"), "привет"),
        ("idna", b"xn--a", "xn--a"),
        ("zlib", b"x\x9c", "xœ"),
        ("unicode_escape", b"a\\x41", "a\\x41"),
    ],
)
def test_charsets_are_taken_by_their_many_names(letter: Letter, one: One, charset: str, raw: bytes, text: str) -> None:
    assert one(letter(raw, Content_Type=f'text/plain; charset="{charset}"')).text == text


def test_no_control_character_and_no_half_letter_reaches_the_store(letter: Letter, one: One) -> None:
    assert one(letter(b"a\x00b\x1b[1mc\r\nd", Content_Type="text/plain; charset=utf-8")).text == "ab[1mc\nd"
    assert one(letter(b"+2AA-x", Content_Type="text/plain; charset=utf-7")).text == "x"


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("quoted-printable", "gr=C3=BC=\n=C3=9Fe =ZZ", "grüße =ZZ"),
        ("base64", base64.b64encode("grüße".encode()).decode() + "\n!!", "grüße"),
        ("BASE64", "aGVsbG8", "hello"),
        ("x-nothing", "hello", "hello"),
    ],
)
def test_transfer_encodings_are_undone_leniently(letter: Letter, one: One, encoding: str, body: str, text: str) -> None:
    raw = letter(body, Content_Type="text/plain; charset=utf-8", Content_Transfer_Encoding=encoding)
    assert one(raw).text == text


def test_flowed_lines_are_joined(letter: Letter, one: One) -> None:
    body = "one \ntwo\n> said \n> before\n three \n-- \nAda\n"
    event = one(letter(body, Content_Type="text/plain; format=flowed"))
    assert event.text_as_sent.split("\n") == ["one two", "> said before", "three ", "-- ", "Ada"]
    deleted = one(letter("你 \n好\n", Content_Type="text/plain; charset=utf-8; format=flowed; delsp=yes"))
    assert deleted.text == "你好"


def test_of_alternatives_the_plain_text_is_taken(letter: Letter, one: One) -> None:
    kind, body = multipart(
        "Content-Type: text/plain\n\nplain", "Content-Type: text/html\n\n<b>rich</b>", kind="alternative"
    )
    assert one(letter(body, Content_Type=kind)).text == "plain"


def test_an_empty_plain_text_yields_to_html(letter: Letter, one: One) -> None:
    kind, body = multipart(
        "Content-Type: text/plain\n\n ", "Content-Type: text/html\n\n<b>rich</b>", kind="alternative"
    )
    assert one(letter(body, Content_Type=kind)).text == "rich"


def test_files_are_attachments_with_safe_names(letter: Letter, one: One) -> None:
    kind, body = multipart(
        "Content-Type: text/plain\n\nsee here",
        "Content-Type: application/pdf; name=x\nContent-Disposition: attachment;\n filename*0*=utf-8''..%2F%E4%BD%A0;\n"
        ' filename*1="/a.pdf"\nContent-Transfer-Encoding: base64\n\naGVsbG8=',
        "Content-Type: image/png; name==?utf-8?b?5aW9LnBuZw==?=\nContent-Disposition: inline\nContent-Id: <i@x>\n\n...",
        "Content-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\nnot said",
        "Content-Type: text/plain\nContent-Disposition: attachment\n\nnot said either",
    )
    event = one(letter(body, Content_Type=kind))
    assert event.text == "see here"
    found = [(file.kind, file.name, file.mime, file.size, file.id) for file in event.attachments]
    assert found == [
        ("file", "_你_a.pdf", "application/pdf", 5, "3:7:2"),
        ("image", "好.png", "image/png", 3, "3:7:3"),
        ("file", "notes.txt", "text/plain", 8, "3:7:4"),
        ("file", "", "text/plain", 15, "3:7:5"),
    ]
    assert event.attachments[1].value["content_id"] == "i@x"


def test_a_mail_in_a_mail_is_a_file_and_not_what_is_said(letter: Letter, one: One) -> None:
    kind, body = multipart(
        "Content-Type: text/plain\n\nsee below",
        "Content-Type: message/rfc822\n\nFrom: eve@example.com\nSubject: Old =?utf-8?q?news=3A?=\n\nnot said",
        "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR",
    )
    event = one(letter(body, Content_Type=kind))
    assert event.text == "see below"
    assert [(file.name, file.mime) for file in event.attachments] == [
        ("Old news_.eml", "message/rfc822"),
        ("invite.ics", "text/calendar"),
    ]


def test_parts_are_numbered_as_mime_has_it(letter: Letter, one: One) -> None:
    inner = (
        'Content-Type: multipart/related; boundary="i"\n\n--i\n\nwords\n--i\nContent-Type: image/gif\n\nGIF\n--i--\n'
    )
    kind, body = multipart(inner, "Content-Type: audio/ogg\n\nOgg")
    event = one(letter(body, Content_Type=kind))
    assert [(file.kind, file.id) for file in event.attachments] == [("image", "3:7:1.2"), ("audio", "3:7:2")]
    assert event.text == "words"


def test_a_multipart_that_never_ends_ends_with_the_mail(letter: Letter, one: One) -> None:
    raw = letter("preamble\n--b\r\n\r\nhello\r\n--b", Content_Type="multipart/mixed; boundary=b")
    assert one(raw).text == "hello"
    assert one(letter("hello", Content_Type="multipart/mixed")).text == "hello"


def test_a_mail_of_which_only_the_header_came_is_told_of(
    letter: Letter, known: Known, account: Callable[..., Email]
) -> None:
    payload = Payload(body=letter(""), headers={"place": "3:7", "whole": "no"})
    (event,) = account().parse(payload, known).events
    assert (event.text, event.wants_turn, event.value["unsupported"]) == ("", True, True)


def test_only_the_own_servers_word_verifies_a_sender(letter: Letter, one: One) -> None:
    for results, verified in [
        ("mx.example.org; dmarc=pass header.from=example.net", True),
        ("mx.example.org 1; dkim=pass (good) header.d=example.net", True),
        ("mx.example.org; spf=pass smtp.mailfrom=ada@mail.example.net", True),
        ("mx.example.org; dkim=fail header.d=example.net; spf=pass smtp.mailfrom=eve@evil.example", False),
        ("mx.example.org; dkim=pass header.d=net", False),
        ("mx.example.org; dkim=pass header.d=ple.net", False),
        ("mx.evil.example; dmarc=pass header.from=example.net", False),
        ('mx.example.org; spf=pass smtp.mailfrom="a;dmarc=pass header.from=example.net"@evil.example', False),
        ("mx.example.org; none", False),
    ]:
        event = one(letter(Authentication_Results=results), authserv_id="mx.example.org")
        assert event.value["verified"] is verified, results
    raw = letter(Authentication_Results="mx.example.org; dmarc=pass header.from=example.net")
    assert one(raw).value["verified"] is False


def test_of_several_results_the_topmost_counts(letter: Letter, one: One) -> None:
    below = b"Authentication-Results: mx.example.org; dmarc=pass header.from=example.net\n"
    above = b"Authentication-Results: mx.example.org; dmarc=fail header.from=example.net\n"
    assert one(above + below + letter(), authserv_id="mx.example.org").value["verified"] is False


def test_nobody_vouches_for_one_of_several_senders(letter: Letter, one: One) -> None:
    results = "mx.example.org; dmarc=pass header.from=example.net"
    several = letter(From="ada@example.net, eve@evil.example", Authentication_Results=results)
    twice = b"From: Eve <eve@evil.example>\n" + letter(Authentication_Results=results)
    doubled = letter(Authentication_Results=results).replace(b"\n\n", b"\nFrom: eve@evil.example\n\n", 1)
    for raw in (several, twice, doubled):
        assert one(raw, authserv_id="mx.example.org").value["verified"] is False


def test_unverified_mail_can_be_left_alone(letter: Letter, read: Read) -> None:
    receipt = read(letter(), only_verified=True, authserv_id="mx.example.org")
    assert (receipt.events, receipt.ignored) == ((), ("unverified",))
