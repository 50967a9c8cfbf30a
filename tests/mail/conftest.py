"""Real mail servers for tests: a dovecot for the session, and a certificate authority that nobody else trusts."""

import asyncio
import base64
import contextlib
import datetime as dt
import imaplib
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dragoman.testing.process import free_port
from dragoman.wire import Credential, Server

PASSWORD = "a-password-of-this-test"
TOKEN = "an-access-token"
AUTH = Credential(name="password")


class Authority:
    """A certificate authority, and a server certificate for localhost."""

    def __init__(self, folder: Path) -> None:
        self.file, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = self._build("A test's authority", root_key, "A test's authority", root_key, authority=True)
        server = self._build("localhost", key, "A test's authority", root_key, authority=False)
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _build(self, name: str, key: Any, issuer: str, issuer_key: Any, *, authority: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))

    def serve(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Tokens(ThreadingHTTPServer):
    """An OAuth2 provider: it grants `granting` while that is set, and knows who holds which access token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Provider)
        self.live: dict[str, str] = {}
        self.granting = ""
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def granted(self) -> tuple[int, dict[str, Any]]:
        if not self.granting:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": self.granting, "token_type": "Bearer", "expires_in": 3600}

    def introspected(self, form: str) -> tuple[int, dict[str, Any]]:
        user = next((user for token, user in self.live.items() if token in form), None)
        return 200, {"active": True, "username": user} if user else {"active": False}

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Provider(BaseHTTPRequestHandler):
    """Answers the bot that wants a token, and dovecot that was shown one."""

    server: Tokens

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["content-length"])).decode()
        granting = self.path == "/token"
        status, answer = self.server.granted() if granting else self.server.introspected(form)
        body = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        pass


class Dovecot:
    """A running dovecot: any user with the one password, and whoever has a token."""

    def __init__(self, folder: Path, authority: Authority, tokens: Tokens) -> None:
        self.folder, self.tokens = folder, tokens
        self._before: dict[str, int] = {}
        self.port, self.tls_port = free_port(), free_port()
        self._configuration = folder / "dovecot.conf"
        (folder / "oauth2.conf").write_text(
            f"introspection_mode = post\nintrospection_url = http://127.0.0.1:{tokens.port}/\n"
            "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
        )
        (folder / "mail").mkdir()
        shutil.chown(folder / "mail", "mail", "mail")
        self._configuration.write_text(self._settings(authority))
        self._process = subprocess.Popen(["dovecot", "-F", "-c", str(self._configuration)])  # noqa: S603, S607 - the installed one
        self._await_listening()

    def _settings(self, authority: Authority) -> str:
        folder = self.folder
        return f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1, 127.0.0.2
verbose_proctitle = yes
ssl = yes
ssl_cert = <{authority.certificate}
ssl_key = <{authority.key}
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
mail_max_userip_connections = 50
first_valid_uid = 1
mail_location = maildir:~/Maildir
mailbox_idle_check_interval = 1s
passdb {{
  driver = static
  mechanisms = plain login
  args = password={PASSWORD}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%u
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = {self.tls_port}
    ssl = yes
  }}
}}
"""

    def _await_listening(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    if sock.recv(4) == b"* OK":
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(self.log())

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else "dovecot wrote no log"

    def server(self, user: str, **changes: Any) -> Server:
        settings = {"host": "localhost", "port": self.tls_port, "user": user, "auth": AUTH, **changes}
        return Server(**settings)

    def client(self, user: str) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=20)
        client.login(user, PASSWORD)
        return client

    def append(self, user: str, *mails: bytes, folder: str = "INBOX") -> None:
        """Put mails into a folder of the user's."""
        client = self.client(user)
        for mail in mails:
            client.append(folder, "", "", mail)
        client.logout()

    def make(self, user: str, folder: str) -> None:
        """Make a folder, anew if there is one: its UIDs begin again."""
        client = self.client(user)
        client.delete(folder)
        client.create(folder)
        client.logout()

    def forget(self, user: str) -> None:
        """Take a user's mailbox away, and wait until nobody is in it."""
        deadline = time.monotonic() + 5
        while self.sessions(user) and time.monotonic() < deadline:
            time.sleep(0.05)
        shutil.rmtree(self.folder / "mail" / user, ignore_errors=True)
        self._before[user] = self._logins(user)

    def seen(self, user: str, flag: str = "SEEN", folder: str = "INBOX") -> list[int]:
        """The UIDs that have a flag."""
        client = self.client(user)
        client.select(folder, readonly=True)
        found = [int(uid) for uid in client.uid("SEARCH", flag)[1][0].split()]
        client.logout()
        return found

    def idles(self, user: str) -> bool:
        """Tell whether a connection of the user waits for mail."""
        return any("IDLE" in title for title in self.sessions(user))

    def titles(self) -> list[str]:
        """The titles of this dovecot's processes: they tell the user and the command."""
        found: list[str] = []
        for process in psutil.Process(self._process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(" ".join(process.cmdline()))
        return found

    def sessions(self, user: str) -> list[str]:
        """The user's open connections."""
        return [title for title in self.titles() if f"[{user} " in title]

    def logins(self, user: str) -> int:
        """How often the user has logged in since `forget`."""
        return self._logins(user) - self._before.get(user, 0)

    def _logins(self, user: str) -> int:
        return len([line for line in self.log().splitlines() if f"Login: user=<{user}>" in line])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    if shutil.which("dovecot") is None:
        pytest.skip("dovecot is not installed (Debian: dovecot-imapd)")
    if os.geteuid() != 0:
        pytest.skip("dovecot's processes need root to become several users")
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    folder.chmod(0o755)
    tokens = Tokens()
    server = Dovecot(folder, authority, tokens)
    try:
        yield server
    finally:
        server.close()
        tokens.close()
        shutil.rmtree(folder)


class Script:
    """What the server does: answers by verb, and whether it cuts the line when the mail is whole."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.cut_after_dot = False
        self.sent: list[Envelope] = []
        self.logins: list[str] = []
        self.connections = 0
        self.open: set[SMTP] = set()

    async def handle_EHLO(  # noqa: N802 - aiosmtpd finds it by this name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *self.answers.get("EHLO", "").split(), responses[-1]]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from, envelope.mail_options = address, options
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(f"RCPT {address}", "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd finds it by this name
        self.sent.append(envelope)
        if self.cut_after_dot:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return self.answers.get("DATA", "250 taken")

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd finds it by this name
        self.logins.append("XOAUTH2")
        if base64.b64decode(args[1]) == f"user=bot\1auth=Bearer {TOKEN}\1\1".encode():
            return AuthResult(success=True)
        await server.push("334 " + base64.b64encode(b'{"status":"401"}').decode())
        assert server._reader is not None
        line = await server._reader.readline()
        assert line == b"\r\n", "a client answers the challenge by an empty line"
        return AuthResult(success=False, handled=False)

    def login(self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append(mechanism)
        return AuthResult(success=data.login == b"bot" and data.password == PASSWORD.encode(), handled=False)


Start = Callable[..., Any]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def start(script: Script, authority: "Authority") -> AsyncIterator[Start]:
    """Start servers; returns how to reach one."""
    stack = contextlib.AsyncExitStack()

    async def begin(security: str = "tls", **options: Any) -> Server:
        def connection() -> SMTP:
            script.connections += 1
            context = authority.serve() if security == "starttls" else None
            server = SMTP(
                script,
                hostname="mail.test",
                authenticator=script.login,
                auth_require_tls=security == "starttls",
                tls_context=context,
                **{"auth_exclude_mechanism": (), "enable_SMTPUTF8": True, **options},
            )
            script.open.add(server)
            return server

        context: ssl.SSLContext | None = authority.serve() if security == "tls" else None
        listening = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=context)
        stack.callback(listening.close)
        port = listening.sockets[0].getsockname()[1]
        host = "127.0.0.1" if security == "none" else "localhost"
        auth = Credential(name="password")
        return Server(host=host, port=port, user="bot", auth=auth, security=security)  # type: ignore[arg-type] # a test's text

    yield begin
    await stack.aclose()
    async with asyncio.timeout(5):
        while not all(server.transport is None or server.transport.is_closing() for server in script.open):
            await asyncio.sleep(0.01)
