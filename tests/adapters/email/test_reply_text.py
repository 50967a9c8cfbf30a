"""The reply alone, and the text of HTML."""

from collections.abc import Callable

import pytest

from dragoman.model import Event

Letter = Callable[..., bytes]
One = Callable[..., Event]

ATTRIBUTIONS = [
    "On Mon, Jan 5, 2026 at 10:00 AM Ada <ada@example.net> wrote:",
    "On Mon, Jan 5, 2026 at 10:00 AM Ada Lovelace-Of-A-Long-Name\n<ada@example.net> wrote:",
    "Am 05.01.2026 um 10:00 schrieb Ada:",
    "Le lun. 5 janv. 2026 à 10:00, Ada <ada@example.net> a écrit :",
    "El lun, 5 ene 2026 a las 10:00, Ada escribió:",
    "Il giorno lun 5 gen 2026 Ada ha scritto:",
    "在 2026年1月5日，10:00，Ada <ada@example.net> 写道：",
    "-----Original Message-----\nFrom: Ada\nSent: Monday",
    "-----Ursprüngliche Nachricht-----\nVon: Ada",
    "________________________________\nFrom: Ada <ada@example.net>\nSent: Monday\nTo: Bot\nSubject: Hi",
    "From: Ada <ada@example.net>\nSent: Monday\nTo: Bot\nSubject: Hi",
    "Von: Ada\nGesendet: Montag\nAn: Bot\nBetreff: Hallo",
    "发件人: Ada\n发送时间: 2026年1月5日\n收件人: Bot\n主题: 你好",
    "------------------ 原始邮件 ------------------\n发件人: Ada",
]


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("mark", ["> ", ""])
def test_the_quoted_mail_is_cut_off(letter: Letter, one: One, attribution: str, mark: str) -> None:
    body = f"Thank you!\n\nTill then\n\n{attribution}\n\n{mark}old words\n{mark}more\n"
    event = one(letter(body, Content_Type="text/plain; charset=utf-8"))
    assert event.text == "Thank you!\n\nTill then"
    assert "old words" in event.text_as_sent


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Yes.\n-- \nAda\nExample Ltd\n", "Yes."),
        ("Yes.\n\n--\nAda\n", "Yes."),
        ("> old\n> older\n\nYes.\n", "Yes."),
        ("On Monday Ada wrote:\n> one?\nYes.\n\n> two?\nNo.\n", "Yes.\n\nNo."),
        ("Hi,\n\nOn Monday Ada wrote:\n> one?\n\nYes.\n", "Hi,\n\n\nYes."),
        ("On Monday I go. She wrote: nothing.\n", "On Monday I go. She wrote: nothing."),
        ("From: what I know\nwe are late\n", "From: what I know\nwe are late"),
        ("a -- b\n--option\n", "a -- b\n--option"),
        ("---\ntext\n", "---\ntext"),
        ("-----Original Message-----\nFrom: Ada\n\nforwarded\n", "-----Original Message-----\nFrom: Ada\n\nforwarded"),
        ("> all of it is quoted\n", "> all of it is quoted"),
        ("-- \nonly a signature\n", "-- \nonly a signature"),
    ],
)
def test_what_was_written_now_is_kept(letter: Letter, one: One, body: str, text: str) -> None:
    assert one(letter(body)).text == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one</p><p>two &amp; three</p>", "one\n\ntwo & three"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<style>p{}</style><script>alert('<p>')</script>seen<!-- <p>unseen</p> -->", "seen"),
        ("<head><title>T</title><meta x></head><body>seen</body>", "seen"),
        ('<a href="https://example.org/a?b&amp;c">here</a>', "here <https://example.org/a?b&c>"),
        ('<a href="https://example.org/">example.org</a>', "example.org"),
        ('<a href="javascript:alert(1)">here</a>', "here"),
        ('<a href="mailto:ada@example.net">ada@example.net</a>', "ada@example.net"),
        ('<img src=x alt="a &lt;cat&gt;"> and', "[a <cat>] and"),
        ("<ul><li>one<li> two</ul>after", "- one\n- two\n\nafter"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ('<p title="a>b">c</p>', "c"),
        ("a <b", "a"),
        ("many   \n spaces", "many spaces"),
        ("x<script>never closed", "x"),
        ("&nbsp;&#8364;&bogus;", "€&bogus;"),
    ],
)
def test_html_becomes_the_text_that_is_seen(letter: Letter, one: One, source: str, text: str) -> None:
    assert one(letter(source, Content_Type="text/html; charset=utf-8")).text == text


def test_a_reply_in_html_is_cut_too(letter: Letter, one: One) -> None:
    body = (
        '<div dir="ltr">Thank you!</div><br><div class="gmail_quote"><div>On Mon, Jan 5, 2026 at 10:00 AM Ada &lt;'
        '<a href="mailto:ada@example.net">ada@example.net</a>&gt; wrote:<br></div>'
        "<blockquote><div>old words</div><blockquote>older</blockquote></blockquote></div>"
    )
    event = one(letter(body, Content_Type="text/html"))
    assert event.text == "Thank you!"
    assert "> old words\n>\n>> older" in event.text_as_sent


def test_a_long_text_is_cut_and_says_so(letter: Letter, one: One) -> None:
    event = one(letter("word " * 100_000))
    assert len(event.text_as_sent) == 1 << 18
    assert event.value["truncated"] is True
    assert "truncated" not in one(letter()).value
