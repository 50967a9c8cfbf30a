"""Sending through a real SMTP server (aiosmtpd): what arrives, what each answer means, and the final dot."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope

from dragoman.errors import CredentialRefused, MediaRefused, NoAnswer
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import pool
from dragoman.flow.transport.mail import MailTransport
from dragoman.model import Media
from dragoman.wire import Credential, Part, Response, Server, Smtp

if TYPE_CHECKING:
    from tests.mail.conftest import Authority, Script

PASSWORD = "a-password-of-this-test"
TOKEN = "an-access-token"
MESSAGE = (
    b"From: bot@example.org\r\nTo: ann@example.org\r\nSubject: Re: Hello\r\nMessage-ID: <2@example.org>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"Fine.\r\n.\r\n..and you?\r\n"
)


Start = Callable[..., Any]


def abort(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.WriteTransport)
    server.transport.abort()


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path / "media")


@pytest.fixture
async def mail(media: MediaStore, authority: "Authority", start: Start) -> AsyncIterator[MailTransport]:
    """A transport; it is closed before the servers end."""
    assert callable(start)
    transport = MailTransport(media, authority.trust())
    yield transport
    await transport.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def send(mail: MailTransport, server: Server, secret: str = PASSWORD, **fields: Any) -> Response:
    request = Smtp(
        **{
            "server": server,
            "sender": "bot@example.org",
            "recipients": ("ann@example.org",),
            "message": MESSAGE,
            "timeout": 10.0,
            **fields,
        }
    )
    return await mail.carry("post", request, secret)


async def keep(media: MediaStore, content: bytes, mime: str = "image/png", name: str = "a.png") -> Media:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return await media.save(chunks(), mime, name)


def content(envelope: Envelope) -> bytes:
    assert isinstance(envelope.content, bytes)
    return envelope.content


def read(envelope: Envelope) -> EmailMessage:
    parsed = message_from_bytes(content(envelope), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
async def test_a_mail_arrives_as_it_was_written(
    mail: MailTransport, start: Start, script: "Script", security: str
) -> None:
    answer = await send(mail, await start(security))

    assert (answer.status, answer.body) == (250, b"taken")
    (envelope,) = script.sent
    assert envelope.mail_from == "bot@example.org"
    assert envelope.rcpt_tos == ["ann@example.org"]
    assert content(envelope) == MESSAGE


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
async def test_lines_end_as_the_wire_wants_and_the_last_one_too(
    mail: MailTransport, start: Start, script: "Script", line_end: bytes
) -> None:
    await send(mail, await start(), message=MESSAGE.rstrip().replace(b"\r\n", line_end))

    assert content(script.sent[0]) == MESSAGE


@pytest.mark.parametrize(("excluded", "used"), [((), "PLAIN"), (("PLAIN",), "LOGIN")])
async def test_it_logs_in_the_way_the_server_offers(
    mail: MailTransport, start: Start, script: "Script", excluded: tuple[str, ...], used: str
) -> None:
    answer = await send(mail, await start("starttls", auth_exclude_mechanism=excluded))

    assert answer.status == 250
    assert script.logins == [used]


async def test_a_server_that_wants_no_login_gets_none(mail: MailTransport, start: Start, script: "Script") -> None:
    server = await start("none")

    answer = await send(mail, Server(host=server.host, port=server.port, user="", auth=server.auth, security="none"))

    assert answer.status == 250
    assert script.logins == []


async def test_a_wrong_password_is_refused_after_one_try(mail: MailTransport, start: Start, script: "Script") -> None:
    with pytest.raises(CredentialRefused, match="535"):
        await send(mail, await start("starttls"), "wrong")

    assert script.logins == ["PLAIN"]


def with_token(server: Server) -> Server:
    return Server(
        host=server.host,
        port=server.port,
        user=server.user,
        auth=server.auth,
        security=server.security,
        login="xoauth2",
    )


async def test_an_access_token_logs_in(mail: MailTransport, start: Start, script: "Script") -> None:
    answer = await send(mail, with_token(await start("starttls")), TOKEN)

    assert answer.status == 250
    assert script.logins == ["XOAUTH2"]


async def test_a_dead_token_is_refused_and_the_challenge_gets_an_empty_line(
    mail: MailTransport, start: Start, script: "Script"
) -> None:
    with pytest.raises(CredentialRefused, match="535"):
        await send(mail, with_token(await start("starttls")), "dead")

    assert script.logins == ["XOAUTH2"]


async def test_a_server_without_the_login_needs_the_operator(mail: MailTransport, start: Start) -> None:
    server = await start("starttls", auth_exclude_mechanism=("PLAIN", "LOGIN"))

    with pytest.raises(CredentialRefused, match="offers no login by plain or login"):
        await send(mail, server)


async def test_attachments_are_added_on_the_way(
    mail: MailTransport, start: Start, script: "Script", media: MediaStore
) -> None:
    picture, text = bytes(range(256)) * 1000, b"line\n" * 3
    parts = (
        Part(name="", media=await keep(media, picture)),
        Part(name="", media=await keep(media, text, "text/plain", "n.txt"), filename='Übersicht "neu"\r\nX: y.txt'),
        Part(name="", media=await keep(media, b"", "not a type")),
    )

    answer = await send(mail, await start(), attachments=parts)

    assert answer.status == 250
    read_ = read(script.sent[0])
    assert read_["Subject"] == "Re: Hello"
    assert read_["Message-ID"] == "<2@example.org>"
    assert read_.get_content_type() == "multipart/mixed"
    body, *files = read_.iter_parts()
    assert body.get_content_type() == "text/plain"
    assert body.get_payload(decode=True) == b"Fine.\r\n.\r\n..and you?\r\n"
    assert [file.get_payload(decode=True) for file in files] == [picture, text, b""]
    assert [file.get_content_type() for file in files] == ["image/png", "text/plain", "application/octet-stream"]
    assert files[0].get_filename() == "a.png"
    assert str(files[1].get_filename()).startswith('Übersicht "neu"')
    assert files[1]["X"] is None
    assert max(map(len, content(script.sent[0]).split(b"\r\n"))) <= 998
    declared = next(option for option in script.sent[0].mail_options if option.startswith("SIZE="))
    assert int(declared[5:]) == len(content(script.sent[0]))


async def test_an_attachment_that_is_not_kept_any_more_is_refused(mail: MailTransport, start: Start) -> None:
    with pytest.raises(MediaRefused):
        await send(mail, await start(), attachments=(Part(name="", media=Media(ref="0" * 64)),))


async def test_eight_bit_text_and_international_addresses_are_declared(
    mail: MailTransport, start: Start, script: "Script"
) -> None:
    answer = await send(
        mail, await start(), recipients=("märy@exämple.net",), message="Subject: Grüße\r\n\r\nschön\r\n".encode()
    )

    assert answer.status == 250
    assert script.sent[0].rcpt_tos == ["märy@exämple.net"]
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(script.sent[0].mail_options)


async def test_a_server_that_takes_no_international_addresses_is_not_asked(
    mail: MailTransport, start: Start, script: "Script"
) -> None:
    answer = await send(mail, await start(enable_SMTPUTF8=False), recipients=("märy@exämple.net",))

    assert answer.status == 553
    assert script.sent == []


async def test_a_mail_beyond_the_servers_limit_is_not_sent(
    mail: MailTransport, start: Start, script: "Script", media: MediaStore
) -> None:
    part = Part(name="", media=await keep(media, bytes(2000)))

    answer = await send(mail, await start(data_size_limit=2500), attachments=(part,))

    assert answer.status == 552
    assert script.sent == []


@pytest.mark.parametrize(
    "address", ["ann@example.org> SIZE=1", "ann@example.org\r\nRCPT TO:<eve@example.org>", "a b@example.org"]
)
async def test_an_address_cannot_smuggle_a_command(
    mail: MailTransport, start: Start, script: "Script", address: str
) -> None:
    answer = await send(mail, await start(), recipients=(address,))

    assert answer.status == 553
    assert script.sent == []


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("MAIL", "421 4.7.0 too many messages"),
        ("MAIL", "550 5.7.1 not from here"),
        ("RCPT ann@example.org", "450 4.2.1 try later"),
        ("RCPT ann@example.org", "550 5.1.1 no such user"),
        ("DATA", "451 4.3.0 try later"),
        ("DATA", "554 5.7.1 spam"),
    ],
)
async def test_the_servers_word_comes_back_and_the_next_mail_goes(
    mail: MailTransport, start: Start, script: "Script", verb: str, said: str
) -> None:
    server = await start()
    script.answers[verb] = said

    answer = await send(mail, server)

    assert f"{answer.status} {answer.body.decode()}" == said
    script.answers.clear()
    assert (await send(mail, server)).status == 250


async def test_recipients_that_are_refused_beside_others_are_named(
    mail: MailTransport, start: Start, script: "Script"
) -> None:
    script.answers["RCPT eve@example.org"] = "550 no such user"

    answer = await send(mail, await start(), recipients=("ann@example.org", "eve@example.org"))

    assert answer.status == 250
    assert answer.headers == {"refused": "eve@example.org"}
    assert script.sent[0].rcpt_tos == ["ann@example.org"]


async def test_a_line_that_is_cut_after_the_final_dot_may_have_arrived(
    mail: MailTransport, start: Start, script: "Script"
) -> None:
    script.cut_after_dot = True

    with pytest.raises(NoAnswer) as caught:
        await send(mail, await start())

    assert caught.value.sent
    assert len(script.sent) == 1


async def test_silence_after_the_final_dot_may_have_arrived(
    mail: MailTransport, start: Start, script: "Script", monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.Event()

    async def silent(*_: object) -> str:
        await waiting.wait()
        return "250 too late"

    monkeypatch.setattr(script, "handle_DATA", silent)

    with pytest.raises(NoAnswer) as caught:
        await send(mail, await start(), timeout=0.5)

    assert caught.value.sent
    waiting.set()


async def test_a_line_that_is_cut_before_the_final_dot_brought_nothing(
    mail: MailTransport, start: Start, media: MediaStore, script: "Script", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cutting(self: SMTP, _arg: str) -> None:
        await self.push("354 go on")
        assert self._reader is not None
        await self._reader.readexactly(100_000)
        abort(self)

    monkeypatch.setattr(SMTP, "smtp_DATA", cutting)
    part = Part(name="", media=await keep(media, bytes(10_000_000)))

    with pytest.raises(NoAnswer) as caught:
        await send(mail, await start("none"), attachments=(part,))

    assert not caught.value.sent
    assert script.sent == []


async def test_a_verdict_before_the_end_of_the_mail_counts(
    mail: MailTransport, start: Start, media: MediaStore, script: "Script", monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []

    async def refusing(self: SMTP, _arg: str) -> None:
        await self.push("354 go on")
        assert self._reader is not None
        await self._reader.readexactly(100_000)
        await self.push("552 5.3.4 too large after all")
        while piece := await self._reader.read(1 << 20):
            came.append(len(piece))

    monkeypatch.setattr(SMTP, "smtp_DATA", refusing)
    part = Part(name="", media=await keep(media, bytes(24_000_000)))

    answer = await send(mail, await start("none"), attachments=(part,))

    assert (answer.status, answer.body) == (552, b"5.3.4 too large after all")
    await mail.close()
    (connection,) = script.open
    await until(lambda: connection.transport is None or connection.transport.is_closing())
    assert sum(came) < 24_000_000


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 busy\r\n"])
async def test_a_greeting_that_refuses_is_the_answer(mail: MailTransport, greeting: bytes) -> None:
    async with raw(greeting) as server:
        answer = await send(mail, server)

    assert answer.status == int(greeting[:3])


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-x\r\n", b"220-" + b"x" * 100_000, b"220-a\r\n" * 50_000])
async def test_a_greeting_that_is_none_is_no_answer(mail: MailTransport, greeting: bytes) -> None:
    async with raw(greeting) as server:
        with pytest.raises(NoAnswer) as caught:
            await send(mail, server, timeout=1.0)

    assert not caught.value.sent


@contextlib.asynccontextmanager
async def raw(greeting: bytes) -> AsyncIterator[Server]:
    """A server that says one thing and listens no more."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(greeting)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    yield Server(host="127.0.0.1", port=port, user="", auth=Credential(name="password"), security="none")
    listening.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_server_that_nobody_vouches_for_gets_no_password(
    media: MediaStore, start: Start, script: "Script", security: str
) -> None:
    stranger = MailTransport(media)

    with pytest.raises(NoAnswer, match=r"(?i)certificate") as caught:
        await send(stranger, await start(security))

    assert not caught.value.sent
    assert script.logins == []
    await stranger.close()


async def test_a_server_without_starttls_gets_no_password(mail: MailTransport, start: Start, script: "Script") -> None:
    server = await start("none")
    wanted = Server(host=server.host, port=server.port, user="bot", auth=server.auth, security="starttls")

    with pytest.raises(NoAnswer, match="STARTTLS"):
        await send(mail, wanted)

    assert script.logins == []


async def test_mails_in_a_row_use_one_connection(mail: MailTransport, start: Start, script: "Script") -> None:
    server = await start()

    for _ in range(3):
        await send(mail, server)

    assert script.connections == 1
    assert len(script.sent) == 3


async def test_many_mails_at_once_use_two_connections(mail: MailTransport, start: Start, script: "Script") -> None:
    server = await start()

    answers = await asyncio.gather(*(send(mail, server) for _ in range(10)))

    assert {answer.status for answer in answers} == {250}
    assert script.connections == 2


async def test_a_kept_connection_that_died_is_replaced(mail: MailTransport, start: Start, script: "Script") -> None:
    server = await start()
    await send(mail, server)
    for connection in script.open:
        abort(connection)

    assert (await send(mail, server)).status == 250
    assert script.connections == 2


async def test_a_kept_connection_is_closed_after_a_while(
    mail: MailTransport, start: Start, script: "Script", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "KEEP", 0.05)

    await send(mail, await start())

    (connection,) = script.open
    await until(lambda: connection.transport is None)


async def test_a_cancelled_mail_leaves_no_connection(
    mail: MailTransport, start: Start, script: "Script", monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.Event()

    async def silent(*_: object) -> str:
        waiting.set()
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(script, "handle_DATA", silent)
    sending = asyncio.create_task(send(mail, await start()))
    await waiting.wait()

    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)

    assert sending.cancelled()
    (connection,) = script.open
    await until(lambda: connection.transport is None or connection.transport.is_closing())
