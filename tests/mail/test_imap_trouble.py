"""IMAP servers that are not sane: what they say too much, too slowly or wrongly costs a connection and nothing else."""

import asyncio
import base64
import contextlib
import re
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import imap_client, imap_look
from dragoman.flow.transport.mail import MailTransport
from dragoman.wire import Credential, Imap, Mailbox, Server

MAIL = b"Subject: Hello\r\n\r\nHow are you?\r\n"
Answer = bytes | Callable[[], bytes]


class Scripted:
    """A server that answers each command, named by its first words, as a test says; `{tag}` is the command's."""

    def __init__(self) -> None:
        self.greeting = b"* OK ready\r\n"
        self.said: list[bytes] = []
        self.answers: dict[bytes, Answer] = {
            b"CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done\r\n",
            b"LOGIN": b"{tag} OK done\r\n",
            b"SELECT": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 5] ok\r\n* OK [UIDNEXT 8] ok\r\n{tag} OK [READ-WRITE] ok\r\n",
            b"NOOP": b"{tag} OK done\r\n",
            b"IDLE": b"+ idling\r\n",
            b"DONE": b"IDLE1 OK\r\n",
            b"UID SEARCH": b"* SEARCH 7\r\n{tag} OK done\r\n",
            b"UID FETCH 7 (UID RFC822.SIZE": b"* 1 FETCH (UID 7 RFC822.SIZE 32 INTERNALDATE "
            b'"17-Jul-2026 02:44:25 -0700")\r\n{tag} OK done\r\n',
            b"UID FETCH 7 (UID BODY.PEEK[]": b"* 1 FETCH (BODY[]<0> {32}\r\n" + MAIL + b" UID 7)\r\n{tag} OK done\r\n",
        }
        self.tag = b""
        self.port = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.open -= 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        while line := await reader.readline():
            writer.write(self._answer(line.strip()))
            await writer.drain()

    def _answer(self, line: bytes) -> bytes:
        tag, space, command = line.partition(b" ")
        self.tag = tag if space else self.tag
        command = command if space else line
        self.said.append(command)
        for begin in sorted(self.answers, key=len, reverse=True):
            if command.startswith(begin):
                answer = self.answers[begin]
                return (answer() if callable(answer) else answer).replace(b"{tag}", self.tag)
        return self.tag + b" BAD what?\r\n"

    def count(self, begin: bytes) -> int:
        return sum(command.startswith(begin) for command in self.said)


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = listening.sockets[0].getsockname()[1]
    yield scripted
    listening.close()
    async with asyncio.timeout(5):
        while scripted.open:
            await asyncio.sleep(0.01)


@pytest.fixture
async def mail(tmp_path: Path, server: Scripted) -> AsyncIterator[MailTransport]:
    transport = MailTransport(MediaStore(tmp_path))
    assert server.port
    yield transport
    await transport.close()


async def look(
    mail: MailTransport, server: Scripted, login: Literal["password", "xoauth2"] = "password", **fields: Any
) -> Mailbox:
    auth = Credential(name="password")
    where = Server(host="127.0.0.1", port=server.port, user="bot", auth=auth, security="none", login=login)
    request = Imap(**{"server": where, "validity": 5, "wait": 0.0, **fields})
    async with asyncio.timeout(20):
        answer = await mail.carry("post", request, "a-password")
    return msgspec.json.decode(answer.body, type=Mailbox)


async def test_the_scripted_server_is_read_as_a_real_one(mail: MailTransport, server: Scripted) -> None:
    found = await look(mail, server)

    (only,) = found.mails
    assert (only.uid, only.size, only.raw, only.at) == (7, 32, MAIL, 1784281465.0)
    assert (found.validity, found.next) == (5, 8)


async def test_a_server_without_idle_is_asked_again_and_again(
    mail: MailTransport, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_look, "ASK_AGAIN", 0.05)
    monkeypatch.setattr(imap_look, "BREATH", 0.0)
    server.answers[b"CAPABILITY"] = b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"
    searches = iter([b"", b"", b" 7"])
    server.answers[b"UID SEARCH"] = lambda: b"* SEARCH" + next(searches) + b"\r\n{tag} OK done\r\n"

    found = await look(mail, server, wait=15.0)

    assert len(found.mails) == 1
    assert server.count(b"IDLE") == 0


async def test_a_mail_that_is_announced_in_the_answer_to_a_search_is_found_at_once(
    mail: MailTransport, server: Scripted
) -> None:
    searches = iter([b"* SEARCH\r\n* 2 EXISTS\r\n", b"* SEARCH 7\r\n"])
    server.answers[b"UID SEARCH"] = lambda: next(searches) + b"{tag} OK done\r\n"

    found = await look(mail, server, wait=15.0)

    assert len(found.mails) == 1
    assert server.count(b"IDLE") == 0


async def test_a_mail_that_is_announced_with_the_start_of_idle_is_found(mail: MailTransport, server: Scripted) -> None:
    searches = iter([b"* SEARCH\r\n", b"* SEARCH 7\r\n"])
    server.answers[b"UID SEARCH"] = lambda: next(searches) + b"{tag} OK done\r\n"
    server.answers[b"IDLE"] = b"+ idling\r\n* OK Still here\r\n* 2 EXISTS\r\n"

    found = await look(mail, server, wait=15.0)

    assert len(found.mails) == 1


async def test_a_server_that_announces_what_is_not_there_is_not_asked_all_the_time(
    mail: MailTransport, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_look, "BREATH", 0.3)
    server.answers[b"UID SEARCH"] = b"* SEARCH\r\n* 2 EXISTS\r\n{tag} OK done\r\n"
    server.answers[b"IDLE"] = b"+ idling\r\n* 3 EXISTS\r\n"

    found = await look(mail, server, wait=1.5)

    assert found.mails == ()
    assert server.count(b"UID SEARCH") <= 8


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"UID FETCH 7 (UID BODY.PEEK[]", b"* 1 FETCH (UID 7 BODY[] {99999999999}\r\n"),
        (b"UID FETCH 7 (UID BODY.PEEK[]", b"* 1 FETCH (UID 7 BODY[] {5}\r\n12345 RFC822 {40000000}\r\n"),
        (b"UID FETCH 7 (UID RFC822.SIZE", b"* 1 FETCH (UID 1)\r\n" * 60_000),
        (b"UID SEARCH", b"* SEARCH " + b"1 " * 9_000_000 + b"\r\n{tag} OK done\r\n"),
        (b"SELECT", b"x" * 2_000_000),
        (b"CAPABILITY", b"* CAPABILITY " + b"x" * 2_000_000 + b"\r\n"),
        (b"IDLE", b"+ idling\r\n" + b"* 1 FETCH (FLAGS ())\r\n" * 60_000),
        (b"SELECT", b"\x00\xff\xfe nonsense\r\n"),
        (b"SELECT", b"* BYE * 5 EXISTS\r\n"),
        (b"SELECT", b"{tag} OK done\r\n"),
        (b"SELECT", b"ZZZZ9 OK no tag of ours\r\n"),
        (b"UID SEARCH", b"{tag} BAD no\r\n"),
        (b"UID SEARCH", b"* BYE {3}\r\nxyz\r\n"),
        (b"IDLE", b"IDLE1 BAD no\r\n"),
        (b"IDLE", b"+ idling\r\n* BYE going down\r\n"),
        (b"LOGIN", b"* BYE too many\r\n"),
        (b"LOGIN", b"{tag} NO [UNAVAILABLE] later\r\n"),
        (b"LOGIN", b"{tag} NO [ALERT] Too many simultaneous connections. (Failure)\r\n"),
        (b"LOGIN", b"{tag} BAD what?\r\n"),
    ],
)
async def test_what_is_too_much_or_wrong_is_no_answer_and_the_next_look_works(
    mail: MailTransport, server: Scripted, command: bytes, answer: bytes
) -> None:
    well, server.answers[command] = server.answers[command], answer
    if command == b"IDLE":
        searches = iter([b"", b" 7"])
        server.answers[b"UID SEARCH"] = lambda: b"* SEARCH" + next(searches) + b"\r\n{tag} OK done\r\n"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(NoAnswer) as caught:
        await look(mail, server, wait=10.0)

    assert not caught.value.sent
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    server.answers[command] = well
    assert len((await look(mail, server)).mails) == 1


@pytest.mark.parametrize("greeting", [b"* BYE no more places\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"y" * 2_000_000])
async def test_a_greeting_that_is_none_is_no_answer(mail: MailTransport, server: Scripted, greeting: bytes) -> None:
    server.greeting = greeting

    with pytest.raises(NoAnswer):
        await look(mail, server)


async def test_a_server_that_logs_us_in_unasked_is_not_believed(mail: MailTransport, server: Scripted) -> None:
    server.greeting = b"* PREAUTH welcome\r\n"

    with pytest.raises(NoAnswer, match="by itself"):
        await look(mail, server)


async def test_a_server_that_dribbles_is_given_up_at_the_deadline(
    mail: MailTransport, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dribble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"*")
            await writer.drain()
            await asyncio.sleep(0.05)

    monkeypatch.setattr(server, "_talk", dribble)
    monkeypatch.setattr(imap_client.ImapClient.expect, "__defaults__", (0.5, imap_client.ANSWER))
    began = time.monotonic()

    with pytest.raises(NoAnswer, match="too long"):
        await look(mail, server)

    assert time.monotonic() - began < 5


async def test_a_server_that_says_no_more_is_given_up_when_idle_ends(
    mail: MailTransport, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_client.ImapClient.expect, "__defaults__", (1.0, imap_client.ANSWER))
    server.answers[b"UID SEARCH"] = b"* SEARCH\r\n{tag} OK done\r\n"
    server.answers[b"DONE"] = b""

    with pytest.raises(NoAnswer, match="too long"):
        await look(mail, server, wait=0.5)


async def test_a_mail_that_the_server_refuses_holds_up_the_next_ones_for_three_looks(
    mail: MailTransport, server: Scripted
) -> None:
    server.answers[b"UID FETCH 7 (UID BODY.PEEK["] = b"{tag} NO [SERVERBUG] cannot read it\r\n"
    server.answers[b"UID FETCH 7 (UID BODY.PEEK[]"] = b"{tag} NO [SERVERBUG] cannot read it\r\n"

    for _ in range(2):
        with pytest.raises(NoAnswer, match="refuses mail 7"):
            await look(mail, server)
    found = await look(mail, server)

    assert [(one.uid, one.raw, one.whole) for one in found.mails] == [(7, b"", False)]
    assert found.next == 8


async def test_mails_before_a_refused_one_come_first(mail: MailTransport, server: Scripted) -> None:
    server.answers[b"UID SEARCH"] = b"* SEARCH 7 6\r\n{tag} OK done\r\n"
    server.answers[b"UID FETCH 6,7"] = (
        b"* 1 FETCH (RFC822.SIZE 32 UID 6)\r\n* 2 FETCH (UID 7 RFC822.SIZE 32)\r\n{tag} OK done\r\n"
    )
    server.answers[b"UID FETCH 6 (UID BODY.PEEK[]"] = b'* 1 FETCH (UID 6 BODY[]<0> "a \\"b\\"")\r\n{tag} OK done\r\n'
    server.answers[b"UID FETCH 7 (UID BODY.PEEK[]"] = b"* 3 FETCH (FLAGS (\\Seen))\r\n{tag} OK done\r\n"

    found = await look(mail, server)

    assert [(one.uid, one.raw) for one in found.mails] == [(6, b'a "b"')]
    assert found.next == 7


async def test_a_mail_that_is_longer_than_the_server_said_comes_as_its_header(
    mail: MailTransport, server: Scripted
) -> None:
    server.answers[b"UID FETCH 7 (UID BODY.PEEK[HEADER]"] = (
        b"* 1 FETCH (UID 7 BODY[HEADER]<0> {18}\r\nSubject: Hello\r\n\r\n)\r\n{tag} OK done\r\n"
    )
    server.answers[b"UID FETCH 7 (UID RFC822.SIZE"] = b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\n{tag} OK done\r\n"

    found = await look(mail, server, largest=10)

    assert [(one.raw, one.whole, one.at) for one in found.mails] == [(b"Subject: Hello\r\n\r\n", False, 0.0)]


async def test_a_folder_that_may_only_be_read_is_read(mail: MailTransport, server: Scripted) -> None:
    selected = server.answers[b"SELECT"]
    assert isinstance(selected, bytes)
    server.answers[b"SELECT"] = server.answers[b"EXAMINE"] = selected.replace(b"READ-WRITE", b"READ-ONLY")

    found = await look(mail, server, seen=(1,))

    assert len(found.mails) == 1
    assert server.count(b"UID STORE") == 0


async def test_a_server_that_takes_no_passwords_needs_the_operator(mail: MailTransport, server: Scripted) -> None:
    server.answers[b"CAPABILITY"] = b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK done\r\n"

    with pytest.raises(CredentialRefused, match="takes no password"):
        await look(mail, server)

    assert server.count(b"LOGIN") == 0


async def test_the_challenge_to_a_dead_token_gets_an_empty_line(mail: MailTransport, server: Scripted) -> None:
    shown = base64.b64encode(b"user=bot\1auth=Bearer a-password\1\1")
    server.answers |= {
        b"AUTHENTICATE XOAUTH2": b"+ \r\n",
        shown: b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n",
        b"": b"{tag} NO [AUTHENTICATIONFAILED] expired\r\n",
    }

    with pytest.raises(CredentialRefused, match="expired"):
        await look(mail, server, login="xoauth2")

    assert server.said[-2:] == [shown, b""]


async def test_a_password_that_the_server_repeats_stays_out_of_the_reason(
    mail: MailTransport, server: Scripted
) -> None:
    server.answers[b"LOGIN"] = b"{tag} NO wrong: a-password\r\n"

    with pytest.raises(CredentialRefused) as caught:
        await look(mail, server)

    assert "a-password" not in str(caught.value)
    assert re.search(r"wrong: \*\*\*", str(caught.value))


async def test_without_tls_nobody_but_this_machine_is_spoken_to(mail: MailTransport, server: Scripted) -> None:
    outside = next((address for address in own_addresses() if not address.startswith("127.")), None)
    if outside is None:
        pytest.skip("this machine has only its loopback address")
    listening = await asyncio.start_server(server.serve, outside, 0)
    port = listening.sockets[0].getsockname()[1]
    where = Server(host=outside, port=port, user="bot", auth=Credential(name="password"), security="none")

    with pytest.raises(NoAnswer, match="without TLS"):
        await mail.carry("post", Imap(server=where), "a-password")

    assert server.said == []
    listening.close()


def own_addresses() -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the way
        return [sock.getsockname()[0]]
    return []
