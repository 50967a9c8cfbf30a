"""Reading a mailbox as a long poll, against a real dovecot: what comes, what does not, and what trouble means."""

import asyncio
import hashlib
import imaplib
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from dragoman.errors import CredentialRefused, MediaRefused, NoAnswer
from dragoman.flow import media as media_module
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import imap_client, imap_look, imap_part, pool
from dragoman.flow.transport.mail import MailTransport
from dragoman.testing.proxy import proxied
from dragoman.wire import Imap, ImapPart, Mailbox, Server

if TYPE_CHECKING:
    from tests.mail.conftest import Authority, Dovecot

PASSWORD = "a-password-of-this-test"
MAIL = (
    b"From: ann@example.org\r\nTo: bot@example.org\r\nSubject: Hello\r\nMessage-ID: <1@x.org>\r\n\r\nHow are you?\r\n"
)


@pytest.fixture
def media(tmp_path: Any) -> MediaStore:
    return MediaStore(tmp_path / "media")


@pytest.fixture
async def mail(media: MediaStore, authority: "Authority") -> AsyncIterator[MailTransport]:
    """A transport; when it is closed, no thread of it is left."""
    transport = MailTransport(media, authority.trust())
    yield transport
    await transport.close()
    await until(lambda: not threads())


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A mailbox of the test's own."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("imap-")]


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def look(mail: MailTransport, server: Server, secret: str = PASSWORD, **fields: Any) -> Mailbox:
    answer = await mail.carry("post", Imap(**{"server": server, "wait": 0.0, **fields}), secret)
    return msgspec.json.decode(answer.body, type=Mailbox)


async def start(mail: MailTransport, server: Server, **fields: Any) -> int:
    """Make the acquaintance of a folder; returns its UIDVALIDITY."""
    return (await look(mail, server, **fields)).validity


async def test_the_first_look_says_where_the_folder_stands_and_brings_no_mail(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    dovecot.append(user, MAIL, MAIL)

    found = await look(mail, dovecot.server(user), wait=30.0)

    assert found.validity > 0
    assert found.next == 3
    assert found.mails == ()


async def test_new_mails_come_whole_with_size_and_arrival(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL, MAIL.replace(b"How", b"H\xf6w"))

    found = await look(mail, server, validity=validity)

    assert [one.uid for one in found.mails] == [1, 2]
    assert found.mails[0].raw == MAIL
    assert found.mails[1].raw == MAIL.replace(b"How", b"H\xf6w")
    assert found.mails[0].size == len(MAIL)
    assert found.mails[0].whole
    assert abs(found.mails[0].at - time.time()) < 60
    assert found.next == 3


async def test_fetching_a_mail_does_not_mark_it_as_seen(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL)

    await look(mail, server, validity=validity)

    assert dovecot.seen(user) == []


async def test_mails_that_are_stored_get_the_flag_seen_and_nothing_is_expunged(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL, MAIL, MAIL)
    other = dovecot.client(user)
    other.select()
    other.uid("STORE", "3", "+FLAGS", r"(\Deleted)")
    other.logout()

    await look(mail, server, validity=validity, after=3, seen=(1, 3))

    assert dovecot.seen(user) == [1, 3]
    assert dovecot.seen(user, "DELETED") == [3]


async def test_flags_of_another_uidvalidity_mark_nothing(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL)

    await look(mail, server, validity=validity - 1, seen=(1,))

    assert dovecot.seen(user) == []


async def test_the_last_mail_does_not_come_again(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL, MAIL)

    found = await look(mail, server, validity=validity, after=2)

    assert found.mails == ()
    assert found.next == 3


async def test_more_mails_than_the_limit_come_in_order_over_several_looks(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, *[MAIL] * 5)
    after, uids = 0, []

    for _ in range(3):
        found = await look(mail, server, validity=validity, after=after, limit=2)
        uids.append([one.uid for one in found.mails])
        after = found.next - 1

    assert uids == [[1, 2], [3, 4], [5]]


async def test_mails_that_arrived_days_before_can_be_left_out(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    client = dovecot.client(user)
    for days in (9, 3, 0):
        client.append("INBOX", "", imaplib.Time2Internaldate(time.time() - days * 86_400), MAIL)
    client.logout()

    found = await look(mail, server, validity=validity, since=time.time() - 3 * 86_400)

    assert [one.uid for one in found.mails] == [2, 3]


async def test_one_answer_holds_no_more_bytes_than_a_batch_and_a_mail(
    mail: MailTransport, dovecot: "Dovecot", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_look, "BATCH", len(MAIL) + 1)
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, *[MAIL] * 5)

    found = await look(mail, server, validity=validity)

    assert [one.uid for one in found.mails] == [1, 2]
    assert found.next == 3


async def test_of_a_large_mail_only_the_header_comes(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL + b"much more\r\n" * 100, MAIL)

    found = await look(mail, server, validity=validity, largest=len(MAIL))

    large, small = found.mails
    assert not large.whole
    assert large.raw == MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert large.size == len(MAIL) + 1100
    assert small.whole


async def test_waiting_ends_when_a_mail_comes(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    waiting = asyncio.create_task(look(mail, server, validity=validity, wait=60.0))
    await idling(dovecot, user)

    await asyncio.to_thread(dovecot.append, user, MAIL)

    async with asyncio.timeout(5):
        assert [one.uid for one in (await waiting).mails] == [1]


async def idling(dovecot: "Dovecot", user: str) -> None:
    """Wait until dovecot's process for the user says that it idles."""
    await until(lambda: dovecot.idles(user))


async def test_waiting_without_a_mail_ends_in_time_with_nothing(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    began = time.monotonic()

    found = await look(mail, server, validity=validity, wait=0.5)

    assert found.mails == ()
    assert 0.5 <= time.monotonic() - began < 5


async def test_idle_is_renewed_and_mail_between_two_idles_is_not_missed(
    mail: MailTransport, dovecot: "Dovecot", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_look, "RENEW", 0.05)
    monkeypatch.setattr(imap_look, "BREATH", 0.0)
    server = dovecot.server(user)
    validity = await start(mail, server)
    after = 0

    for expected in range(1, 6):
        waiting = asyncio.create_task(look(mail, server, validity=validity, after=after, wait=60.0))
        await asyncio.to_thread(dovecot.append, user, MAIL)
        async with asyncio.timeout(5):
            found = await waiting
        assert [one.uid for one in found.mails] == [expected]
        after = expected


async def test_a_cancelled_wait_leaves_no_thread_and_no_connection(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    waiting = asyncio.create_task(look(mail, server, validity=validity, wait=60.0))
    await idling(dovecot, user)
    began = time.monotonic()

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    await until(lambda: not threads())
    assert time.monotonic() - began < 5.0
    await until(lambda: not dovecot.sessions(user))


async def test_closing_an_account_ends_its_wait_and_no_other_ones(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server, other = dovecot.server(user), dovecot.server("other" + user)
    validity = await start(mail, server)
    waiting = asyncio.create_task(look(mail, server, validity=validity, wait=60.0))
    kept = asyncio.create_task(mail.carry("other", Imap(server=other, wait=0.0), PASSWORD))
    await kept
    await idling(dovecot, user)

    await mail.close_account("post")

    with pytest.raises(NoAnswer):
        await waiting
    await until(lambda: len(threads()) == 1)
    await until(lambda: not dovecot.sessions(user))
    assert dovecot.sessions("other" + user)


async def test_a_connection_is_used_again_and_another_secret_gets_its_own(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user, login="xoauth2")
    dovecot.tokens.live |= {f"one-{user}": user, f"two-{user}": user}
    async with proxied("127.0.0.1", dovecot.tls_port) as proxy:
        near = msgspec.structs.replace(server, port=proxy.port)
        await look(mail, near, f"one-{user}")
        await look(mail, near, f"one-{user}")
        assert dovecot.logins(user) == 1

        await look(mail, near, f"two-{user}")

        assert dovecot.logins(user) == 2
        await until(lambda: len(threads()) == 1)
        await mail.close()


async def test_a_kept_connection_is_closed_after_a_while(
    mail: MailTransport, dovecot: "Dovecot", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "KEEP", 0.05)

    await start(mail, dovecot.server(user))

    await until(lambda: not threads())
    await until(lambda: not dovecot.sessions(user))


async def test_a_kept_connection_that_died_is_replaced(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    async with proxied("127.0.0.1", dovecot.tls_port) as proxy:
        server = dovecot.server(user, port=proxy.port)
        validity = await start(mail, server)
        proxy.reset()

        assert (await look(mail, server, validity=validity)).validity == validity
        await mail.close()


async def test_a_connection_that_dies_while_idling_is_no_answer_and_the_next_look_finds_the_mail(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    async with proxied("127.0.0.1", dovecot.tls_port) as proxy:
        server = dovecot.server(user, port=proxy.port)
        validity = await start(mail, server)
        waiting = asyncio.create_task(look(mail, server, validity=validity, wait=60.0))
        await idling(dovecot, user)

        proxy.reset()

        with pytest.raises(NoAnswer) as caught:
            await waiting
        assert not caught.value.sent
        dovecot.append(user, MAIL)
        assert len((await look(mail, server, validity=validity)).mails) == 1
        await mail.close()


async def test_mails_that_are_expunged_meanwhile_are_passed_over(
    mail: MailTransport, dovecot: "Dovecot", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = dovecot.server(user)
    validity = await start(mail, server)
    dovecot.append(user, MAIL, MAIL, MAIL)
    facts = imap_look._facts

    def expunging(client: imap_client.ImapClient, uids: list[int]) -> Any:
        found = facts(client, uids)
        other = dovecot.client(user)
        other.select()
        other.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
        other.expunge()
        other.logout()
        return found

    monkeypatch.setattr(imap_look, "_facts", expunging)

    found = await look(mail, server, validity=validity)

    assert [one.uid for one in found.mails if one.raw] == [1, 3]
    assert found.next == 4


async def test_a_folder_that_was_made_anew_is_told_at_once_and_brings_no_mail(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    dovecot.make(user, "Work")
    dovecot.append(user, MAIL, folder="Work")
    before = await look(mail, server, folder="Work")
    dovecot.make(user, "Work")
    dovecot.append(user, MAIL, MAIL, folder="Work")

    after = await look(mail, server, folder="Work", validity=before.validity, after=1, wait=30.0)

    assert after.validity != before.validity
    assert after.mails == ()
    assert after.next == 3


async def test_a_folder_that_was_made_anew_while_idling_is_noticed_when_idle_is_renewed(
    mail: MailTransport, dovecot: "Dovecot", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_look, "RENEW", 0.5)
    server = dovecot.server(user)
    dovecot.make(user, "Work")
    validity = await start(mail, server, folder="Work")
    waiting = asyncio.create_task(look(mail, server, folder="Work", validity=validity, wait=60.0))
    await idling(dovecot, user)

    dovecot.make(user, "Work")

    async with asyncio.timeout(10):
        found = await waiting
    assert found.validity != validity
    assert found.mails == ()


@pytest.mark.parametrize("folder", ["Gelöschte Objekte", "收件箱/工作", 'with "quotes" \\ and & more'])
async def test_a_folder_may_have_any_name(mail: MailTransport, dovecot: "Dovecot", user: str, folder: str) -> None:
    server = dovecot.server(user)
    with pytest.raises(NoAnswer, match="cannot be opened"):
        await look(mail, server, folder=folder)

    assert (await look(mail, server)).validity


async def test_tls_starttls_and_none_all_read(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    found = [
        await start(mail, dovecot.server(user)),
        await start(mail, dovecot.server(user, port=dovecot.port, security="starttls")),
        await start(mail, dovecot.server(user, port=dovecot.port, security="none", host="127.0.0.1")),
    ]

    assert len(set(found)) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_server_that_nobody_vouches_for_gets_no_password(
    media: MediaStore, dovecot: "Dovecot", user: str, security: str
) -> None:
    port = dovecot.tls_port if security == "tls" else dovecot.port
    stranger = MailTransport(media)

    with pytest.raises(NoAnswer, match="certificate"):
        await look(stranger, dovecot.server(user, port=port, security=security))

    assert dovecot.logins(user) == 0
    await stranger.close()


async def test_a_certificate_of_another_name_is_refused(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    with pytest.raises(NoAnswer, match="certificate"):
        await look(mail, dovecot.server(user, host="127.0.0.2"))


async def test_the_systems_own_variable_names_a_trusted_authority(
    media: MediaStore, dovecot: "Dovecot", authority: "Authority", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(authority.file))
    transport = MailTransport(media)

    assert await start(transport, dovecot.server(user))

    await transport.close()


async def test_a_wrong_password_is_a_refused_credential(mail: MailTransport, dovecot: "Dovecot", user: str) -> None:
    with pytest.raises(CredentialRefused, match="Authentication failed") as caught:
        await look(mail, dovecot.server(user), "a-wrong-password")

    assert "a-wrong-password" not in str(caught.value)


async def test_an_access_token_logs_in_and_a_dead_one_is_a_refused_credential(
    mail: MailTransport, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user, login="xoauth2")
    dovecot.tokens.live[f"alive-{user}"] = user

    assert await start(mail, server, secret=f"alive-{user}")

    with pytest.raises(CredentialRefused):
        await look(mail, server, f"dead-{user}")


async def test_a_port_where_nobody_listens_is_no_answer(mail: MailTransport, dovecot: "Dovecot") -> None:
    async with proxied("127.0.0.1", dovecot.tls_port) as proxy:
        server = dovecot.server("any", port=proxy.port)
        await proxy.down()

        with pytest.raises(NoAnswer) as caught:
            await look(mail, server)

    assert not caught.value.sent


async def test_a_host_without_an_address_is_no_answer(mail: MailTransport, dovecot: "Dovecot") -> None:
    with pytest.raises(NoAnswer):
        await look(mail, dovecot.server("any", host="nowhere.invalid"))


TREE = (
    b"From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    b"--c\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db =\r\nc\r\n"
    b"--c\r\nContent-Type: text/html\r\n\r\n<p>hi\r\n--c--\r\n"
    b"--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"
    b"iVBOR\r\nw0KGgo=\r\n--b--\r\n"
)


async def part(mail: MailTransport, media: MediaStore, server: Server, validity: int, path: str, uid: int = 1) -> Any:
    request = ImapPart(server=server, folder="INBOX", validity=validity, uid=uid, part=path)
    found = (await mail.carry("post", request, PASSWORD)).media
    assert found is not None
    return found.mime, media.path(found).read_bytes()


async def test_parts_come_decoded_into_the_media_store(
    mail: MailTransport, media: MediaStore, dovecot: "Dovecot", user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_part, "PIECE", 5)
    server = dovecot.server(user)
    dovecot.append(user, TREE)
    validity = await start(mail, server)

    assert await part(mail, media, server, validity, "1.1") == ("text/plain", b"a=b c")
    assert await part(mail, media, server, validity, "1.2") == ("text/html", b"<p>hi")
    assert await part(mail, media, server, validity, "2") == ("image/png", b"\x89PNG\r\n\x1a\n")


async def test_a_mail_of_one_part_has_its_part_1(
    mail: MailTransport, media: MediaStore, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    dovecot.append(user, b"Content-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lG\r\n")
    validity = await start(mail, server)

    assert await part(mail, media, server, validity, "1") == ("image/gif", b"GIF")


async def test_a_part_can_be_fetched_while_the_account_waits_for_mail(
    mail: MailTransport, media: MediaStore, dovecot: "Dovecot", user: str
) -> None:
    server = dovecot.server(user)
    dovecot.append(user, TREE)
    validity = await start(mail, server)
    waiting = asyncio.create_task(look(mail, server, validity=validity, after=1, wait=60.0))
    await idling(dovecot, user)

    async with asyncio.timeout(5):
        assert (await part(mail, media, server, validity, "2"))[0] == "image/png"

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uid": 9}, "gone"),
        ({"part": "7"}, "gone"),
        ({"validity": 1}, "anew"),
        ({"folder": "Nowhere"}, "folder is gone"),
        ({"part": "1] BODY[2"}, "no part"),
        ({"part": "0"}, "no part"),
    ],
)
async def test_a_part_that_is_not_there_is_refused(
    mail: MailTransport, dovecot: "Dovecot", user: str, change: dict[str, Any], reason: str
) -> None:
    server = dovecot.server(user)
    dovecot.append(user, TREE)
    validity = await start(mail, server)
    request = ImapPart(**{"server": server, "folder": "INBOX", "validity": validity, "uid": 1, "part": "2", **change})

    with pytest.raises(MediaRefused, match=reason):
        await mail.carry("post", request, PASSWORD)


async def test_a_part_past_the_cap_is_refused_and_leaves_nothing(
    mail: MailTransport,
    media: MediaStore,
    dovecot: "Dovecot",
    user: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(media_module, "LARGEST", 4)
    server = dovecot.server(user)
    dovecot.append(user, TREE)
    validity = await start(mail, server)

    with pytest.raises(MediaRefused, match="larger"):
        await part(mail, media, server, validity, "2")

    assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []
