"""A blocking IMAP client that trusts no server: each command has a deadline and an allowance of bytes.

It lives in its connection's own thread; `imap` is the way to it. The protocol is the standard
library's; ours are reading within bounds, IDLE, and login as servers of today want it.
"""

import contextlib
import imaplib
import re
import socket
import ssl
import time
from email.utils import formatdate
from typing import Any, Final

from dragoman.errors import CredentialRefused
from dragoman.wire import Server

COMMAND: Final = 30.0
"""Seconds that one command may take."""
ANSWER: Final = 1 << 20
"""Bytes that the answer to a command may have, when nothing larger was asked for."""
TAG: Final = b"IDLE1"
"""The tag of our own IDLE; the library's tags have another form."""
PASSING: Final = re.compile(
    r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|OVERQUOTA)\b|too many|maximum number of connections", re.IGNORECASE
)
"""A refused login that is no judgement of the credentials (RFC 5530, and what servers say in plain words)."""

TROUBLE: Final = (imaplib.IMAP4.error, OSError, ValueError, EOFError)
"""What a server that is away, or not sane, raises in the library."""

Found = list[bytes | tuple[bytes, bytes]]
"""What the library makes of FETCH responses: lines, and lines that end in a literal with that literal."""


class ImapClient(imaplib.IMAP4):
    """One connection over a socket that is connected already."""

    sock: socket.socket

    def __init__(self, sock: socket.socket) -> None:
        """Hear the greeting; raises `imaplib.IMAP4.error` or `OSError`."""
        self._given = sock
        self._buffer = bytearray()
        self._deadline = 0.0
        self._allowance = 0
        self.expect()
        super().__init__()

    def expect(self, seconds: float = COMMAND, size: int = ANSWER) -> None:
        """Give what follows so many seconds, and its answers so many bytes."""
        self._deadline = time.monotonic() + seconds
        self._allowance = size

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Take the socket that is open (called by the library)."""
        self.host, self.port, self.sock = host, port, self._given

    def read(self, size: int) -> bytes:
        """Return so many bytes of a literal, or refuse it at once when they are more than expected."""
        if size - len(self._buffer) > self._allowance:
            raise self.abort("the server sends more than was asked for")
        while len(self._buffer) < size:
            self._receive(self._deadline)
        return self._cut(size)

    def readline(self) -> bytes:
        """Return one line with its end."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            self._receive(self._deadline)
        return self._cut(end + 1)

    def send(self, data: Any) -> None:
        """Send all within the deadline."""
        self.sock.settimeout(max(0.001, self._deadline - time.monotonic()))
        self.sock.sendall(data)

    def shutdown(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        self.sock.close()

    def greet(self) -> None:
        """Ask for a sign of life, soon."""
        self.expect(5.0)
        self.noop()

    def part(self) -> None:
        """Say goodbye, without waiting for an answer."""
        with contextlib.suppress(OSError):
            self.sock.settimeout(0)
            self.sock.send(TAG + b" LOGOUT\r\n")

    def _cut(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _receive(self, deadline: float) -> None:
        """Take what comes before the deadline; raises `TimeoutError`, or `abort` for an end or a flood."""
        left = deadline - time.monotonic()
        self.sock.settimeout(max(0.001, left))
        try:
            received = self.sock.recv(1 << 16) if left > 0 else None
        except TimeoutError:
            received = None
        if received is None:
            raise TimeoutError("the server took too long")
        if not received:
            raise self.abort("the server closed the connection")
        self._allowance -= len(received)
        if self._allowance < 0:
            raise self.abort("the server sends more than was asked for")
        self._buffer += received

    def secure(self, trust: ssl.SSLContext, host: str) -> None:
        """Go over to TLS; what was said in clear before counts no more (RFC 3501, 6.2.1)."""
        self.expect()
        kind, _ = self.xatom("STARTTLS")
        if kind != "OK" or self._buffer:
            raise self.abort("the server does not go over to TLS")
        self.sock.settimeout(COMMAND)
        self.sock = trust.wrap_socket(self.sock, server_hostname=host)
        self._learn()

    def log_in(self, server: Server, secret: str) -> None:
        """Log in; raises `CredentialRefused` when that is what the server's refusal means."""
        self.expect()
        if self.state != "NONAUTH":
            raise self.error("the server logs us in by itself")
        try:
            if server.login == "xoauth2":
                self.authenticate("XOAUTH2", _once(f"user={server.user}\1auth=Bearer {secret}\1\1".encode()))
            elif "AUTH=PLAIN" in self.capabilities:
                self.authenticate("PLAIN", _once(f"\0{server.user}\0{secret}".encode()))
            elif "LOGINDISABLED" in self.capabilities:
                raise CredentialRefused("the IMAP server takes no password over this connection")
            else:
                self.login(_quoted(server.user), secret)
        except (self.abort, self.readonly):
            raise
        except self.error as error:
            said = _said(error).replace(secret or "\0", "***")
            if "command error: BAD" in said or PASSING.search(said):
                raise self.error(said[:200]) from None
            raise CredentialRefused(f"the IMAP server refuses the login: {said[:200]}") from error
        self._learn()

    def _learn(self) -> None:
        """Ask anew what the server can do: the answer is another one after TLS and after the login."""
        _, answer = self.capability()
        self.capabilities = tuple(_text(answer[-1]).upper().split())

    def enter(self, folder: bytes) -> tuple[int, int]:
        """Select a folder; returns its UIDVALIDITY and UIDNEXT (0: not told).

        Raises `LookupError` when the server does not open it. A folder that may only be read is read.
        """
        self.expect()
        name = b'"' + folder.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        try:
            kind, answer = self.select(name)  # type: ignore[arg-type] # bytes go through as they are
        except self.readonly:
            kind, answer = self.select(name, readonly=True)  # type: ignore[arg-type] # the same
        if kind != "OK":
            raise LookupError(_text(answer[-1])[:200])
        validity = self._told("UIDVALIDITY")
        if not validity:
            raise self.error("the server keeps no UIDs for this folder")
        following = self._told("UIDNEXT")
        self.news()
        return validity, following

    def _told(self, code: str) -> int:
        _, values = self.response(code)
        digits = _text(values[-1]) if values else ""
        return int(digits) if digits.isdigit() and len(digits) <= 10 else 0

    def news(self) -> bool:
        """Tell whether the server announced mails since this was last asked."""
        return self.untagged_responses.pop("EXISTS", None) is not None

    def above(self, uid: int, since: float = 0.0) -> list[int]:
        """Return the UIDs above one, ascending; `n:*` brings the last mail whatever its UID is.

        `since` (epoch seconds) leaves out what arrived on earlier days; in whose time zone they are days is the
        server's secret, so one day more is asked for.
        """
        self.expect(size=16 << 20)
        criteria = [f"UID {uid + 1}:*"]
        if since:
            criteria += ["SINCE", "-".join(formatdate(since - 86_400.0).split()[1:4])]
        _, lines = self._demand("SEARCH", *criteria)
        words = b" ".join(line for line in lines if isinstance(line, bytes)).split()
        return sorted({int(word) for word in words if word.isdigit() and len(word) <= 10 and int(word) > uid})

    def take(self, uids: str, items: str, seconds: float = COMMAND, size: int = ANSWER) -> Found:
        """Fetch items of mails; those that are gone by now, or refused, are left out."""
        self.expect(seconds, size)
        kind, lines = self.uid("FETCH", uids, f"({items})")
        if kind != "OK":  # some of them may be gone; what it gave of the others counts
            lines = self.untagged_responses.pop("FETCH", [])
        return [line for line in lines if line is not None]

    def mark(self, uids: list[int]) -> None:
        r"""Put the flag `\Seen` on mails; a folder that is only read keeps its flags."""
        for start in range(0, 0 if self.is_readonly else len(uids), 200):
            self.expect()
            self.uid("STORE", ",".join(map(str, uids[start : start + 200])), r"+FLAGS.SILENT", r"(\Seen)")

    def _demand(self, command: str, *args: str) -> tuple[str, Found]:
        kind, lines = self.uid(command, *args)
        if kind != "OK":
            raise self.error(f"the server refuses UID {command}")
        return kind, [line for line in lines if line is not None]

    def await_change(self, until: float) -> None:
        """Wait in IDLE until mails are announced or `until` (monotonic) has come."""
        self.expect()
        self.send(TAG + b" IDLE\r\n")
        announced = False
        while not (line := self.readline()).startswith(b"+"):
            announced |= self._announces(line)
        while not announced and self._hear(until):
            announced = self._announces(self.readline())
        self.expect()
        self.send(b"DONE\r\n")
        while not self.readline().startswith(TAG):
            pass

    def _hear(self, until: float) -> bool:
        """Wait for a line; False when `until` has come first."""
        while b"\n" not in self._buffer:
            try:
                self._receive(until)
            except TimeoutError:
                return False
        return True

    def _announces(self, line: bytes) -> bool:
        if line.upper().startswith((b"* BYE", TAG)):
            raise self.abort("the server ended the waiting")
        return line.rstrip().upper().endswith(b" EXISTS")

    def pause(self, seconds: float) -> None:
        """Let time pass, but not over the end of the connection; then ask what is new."""
        until = time.monotonic() + seconds
        self.expect(seconds + COMMAND)
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                self._receive(until)
        self.noop()


def _once(initial: bytes) -> Any:
    """Answer the first challenge; any later one is an error's (XOAUTH2) and gets an empty line."""
    answers = iter([initial])
    return lambda _challenge: next(answers, b"")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")


def _said(error: Exception) -> str:
    return _text(error.args[0]) if error.args else ""
