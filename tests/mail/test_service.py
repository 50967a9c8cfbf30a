"""A mailbox's whole way through the real service: read from dovecot, answered through SMTP, once, whatever happens."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiosmtpd.smtp import Envelope

from dragoman.testing.process import Service, configuration
from dragoman.testing.proxy import proxied
from dragoman.testing.running import Running, running
from dragoman.wire import Server

if TYPE_CHECKING:
    from tests.mail.conftest import Authority, Dovecot, Script

PASSWORD = "a-password-of-this-test"


class Post:
    """A bot's mailbox, the service that answers it, and what left."""

    def __init__(self, folder: Path, dovecot: "Dovecot", script: "Script", smtp: Server) -> None:
        self.dovecot, self.script = dovecot, script
        self._folder = folder
        self._table: dict[str, Any] = {
            "platform": "email",
            "address": "bot@example.org",
            "plugins": ["echo"],
            "imap_host": "localhost",
            "imap_port": dovecot.tls_port,
            "smtp_host": "localhost",
            "smtp_port": smtp.port,
            "user": "bot",
            "password": PASSWORD,
        }

    @contextlib.asynccontextmanager
    async def open(self, **changes: Any) -> AsyncIterator[Running]:
        """Run the service until the block ends; it begins when the mailbox is watched."""
        async with running(self._folder, configuration({"post": {**self._table, **changes}})) as service:
            yield service

    def process(self) -> Service:
        """The same as a process of its own, that can be killed."""
        return Service(self._folder, configuration({"post": self._table}))

    def deliver(self, text: str, folder: str = "INBOX", **fields: str) -> None:
        """Put a mail of Ann's into the bot's folder."""
        written = {
            "From": "Ann <ann@example.org>",
            "To": "bot@example.org",
            "Subject": "Hello",
            "Date": formatdate(),
            "Message-ID": f"<{text}@example.org>",
            **{name.replace("_", "-"): value for name, value in fields.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in written.items())
        self.dovecot.append("bot", f"{head}\r\n{text}\r\n".encode(), folder=folder)

    def answers(self) -> list[EmailMessage]:
        return [parsed(envelope) for envelope in self.script.sent]

    def texts(self) -> list[str]:
        return [text(answer) for answer in self.answers()]

    async def watched(self) -> None:
        await until(lambda: self.dovecot.idles("bot"))


def parsed(envelope: Envelope) -> EmailMessage:
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).strip()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.fixture
async def post(
    tmp_path: Path,
    dovecot: "Dovecot",
    authority: "Authority",
    script: "Script",
    start: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Post:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    dovecot.forget("bot")
    return Post(tmp_path, dovecot, script, await start("tls"))


async def test_a_mail_is_answered_in_its_thread_and_marked_as_seen(post: Post) -> None:
    async with post.open():
        await post.watched()
        post.deliver("first", References="<0@example.org>", In_Reply_To="<0@example.org>")
        await until(lambda: post.texts() == ["echo: first"])
        await until(lambda: post.dovecot.seen("bot") == [1])

    (answer,) = post.answers()
    assert answer["To"] == "ann@example.org"
    assert answer["Subject"] == "Re: Hello"
    assert answer["In-Reply-To"] == "<first@example.org>"
    assert answer["References"] == "<0@example.org> <first@example.org>"
    assert answer["Auto-Submitted"] == "auto-replied"


async def test_mail_from_before_the_bots_time_is_left_alone(post: Post) -> None:
    post.deliver("old")
    async with post.open():
        await post.watched()
        post.deliver("new")
        await until(lambda: bool(post.texts()))

    assert post.texts() == ["echo: new"]


async def test_automatic_mail_is_not_answered(post: Post) -> None:
    async with post.open():
        await post.watched()
        post.deliver("away", Auto_Submitted="auto-replied")
        post.deliver("list", List_Id="<list.example.org>")
        post.deliver("person")
        await until(lambda: bool(post.texts()))

    assert post.texts() == ["echo: person"]


async def test_a_restart_answers_nothing_twice_and_what_came_meanwhile_once(post: Post) -> None:
    async with post.open():
        await post.watched()
        post.deliver("first")
        await until(lambda: post.texts() == ["echo: first"])
    post.deliver("meanwhile")

    async with post.open():
        await until(lambda: "echo: meanwhile" in post.texts())
        await post.watched()

    assert post.texts() == ["echo: first", "echo: meanwhile"]


async def test_a_stop_leaves_no_connection(post: Post) -> None:
    async with post.open():
        await post.watched()

    await until(lambda: not post.dovecot.sessions("bot"), 10.0)


async def test_a_folder_that_was_made_anew_answers_no_mail_twice(post: Post) -> None:
    post.dovecot.make("bot", "Work")
    async with post.open(folder="Work", idle=1.0):
        await post.watched()
        post.deliver("first", folder="Work")
        await until(lambda: post.texts() == ["echo: first"])
        post.dovecot.make("bot", "Work")
        post.deliver("first", folder="Work")
        post.deliver("ancient", folder="Work", Date="Mon, 06 Jul 2020 10:00:00 +0000")
        post.deliver("second", folder="Work")
        await until(lambda: "echo: second" in post.texts())

    assert post.texts() == ["echo: first", "echo: second"]


async def test_a_connection_that_is_killed_while_idling_is_opened_again(post: Post) -> None:
    async with proxied("127.0.0.1", post.dovecot.tls_port) as proxy, post.open(imap_port=proxy.port):
        await post.watched()

        proxy.reset()
        post.deliver("after")
        await until(lambda: bool(post.texts()))
        await post.watched()

    assert post.texts() == ["echo: after"]


async def test_a_server_that_is_away_for_a_while_costs_no_mail_and_no_order(post: Post) -> None:
    async with post.open():
        await post.watched()
        post.script.answers["MAIL"] = "451 4.3.0 not now"
        post.deliver("one", References="<0@example.org>")
        post.deliver("two", References="<0@example.org>")
        await until(lambda: post.script.connections > 0)
        post.script.answers.clear()
        await until(lambda: len(post.texts()) == 2)

    assert post.texts() == ["echo: one", "echo: two"]


async def test_an_answer_that_may_have_arrived_is_kept_for_the_operator(post: Post) -> None:
    post.script.cut_after_dot = True
    async with post.open() as service:
        await post.watched()
        post.deliver("first")
        async with asyncio.timeout(30):
            while not (rows := await service.house.context.reader.parked(10)):
                await asyncio.sleep(0.05)

    assert "unsure" in rows[0].reason
    assert post.texts() == ["echo: first"]


async def test_a_refused_password_halts_the_account_and_says_so(post: Post) -> None:
    async with post.open(password="an-old-password") as service:
        async with asyncio.timeout(30):
            while 'dragoman_account_paused{account="post"} 1.0' not in await metrics(service):
                await asyncio.sleep(0.05)

        assert post.dovecot.logins("bot") == 0


async def metrics(service: Running) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{service.url}/metrics") as answer:
        return await answer.text()


async def test_a_mailbox_is_read_and_answered_by_access_tokens_until_they_are_refused(
    post: Post, dovecot: "Dovecot"
) -> None:
    oauth = {
        "login": "xoauth2",
        "password": "",
        "token_url": f"http://127.0.0.1:{dovecot.tokens.port}/token",
        "client_id": "a-client",
        "refresh_token": "a-refresh-token",
    }
    dovecot.tokens.granting = "an-access-token"
    dovecot.tokens.live["an-access-token"] = "bot"
    async with (
        proxied("127.0.0.1", dovecot.tls_port) as proxy,
        post.open(imap_port=proxy.port, **oauth) as service,
    ):
        await post.watched()
        post.deliver("first")
        await until(lambda: post.texts() == ["echo: first"])

        dovecot.tokens.granting = ""
        dovecot.tokens.live.clear()
        proxy.reset()
        async with asyncio.timeout(30):
            while 'dragoman_account_paused{account="post"} 1.0' not in await metrics(service):
                await asyncio.sleep(0.05)

    assert set(post.script.logins) == {"XOAUTH2"}


@pytest.mark.parametrize("point", ["p1", "p2"])
async def test_a_process_that_is_killed_around_its_commit_answers_each_mail_once(post: Post, point: str) -> None:
    service = post.process()
    try:
        await service.start(crash=f"{point}:1")
        await post.watched()
        post.deliver("first")
        await service.wait(30)
        post.deliver("second")

        await service.start()
        await until(lambda: len(post.texts()) == 2)
        await post.watched()

        assert sorted(post.texts()) == ["echo: first", "echo: second"]
        assert await service.stop() == 0
    finally:
        await service.kill()
    await until(lambda: not post.dovecot.sessions("bot"), 10.0)


async def test_who_has_no_mailbox_loads_no_mail_library() -> None:
    check = (
        "import sys, dragoman.service.run; print(sorted({'imaplib', 'imap_tools', 'aiosmtplib'} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", check, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()

    assert out.strip() == b"[]"
