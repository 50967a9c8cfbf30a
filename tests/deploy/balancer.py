"""The balancers as an operator runs them, by the configurations that are shipped, and replicas of the bot behind them."""

import asyncio
import contextlib
import csv
import dataclasses
import datetime
import grp
import ipaddress
import os
import pwd
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.deploy.conftest import DEPLOY, need

from dragoman.testing.process import Service, configuration, free_port

HAPROXY: Final = DEPLOY / "haproxy" / "haproxy.cfg"
NGINX: Final = DEPLOY / "nginx"
BACKENDS: Final = ("hooks", "waiting", "chat")
CALLER: Final = {"authorization": "Bearer a-caller-of-the-tests"}
LINGER: Final = 3.0
TAKEN: Final = re.compile(r" (\w+)/(\S+) \S+ (\d{3}|-1) .*\"(?:GET|POST) (\S+) ")
"""A line of haproxy's log: backend, replica, status and path of a request."""
GATE: Final = '''
"""Answers /hold when a file is there, and not before."""

import asyncio
import dataclasses
from pathlib import Path

from dragoman import Plugin, Turn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the file would be."""

    file: str


plugin = Plugin("gate", settings=Settings)


@plugin.command("hold")
async def hold(turn: Turn, name: str = "") -> None:
    while not Path(turn.settings.file).exists():
        await asyncio.sleep(0.02)
    turn.say(f"held {name}")
'''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """What all replicas have in common: their folder, their database, their accounts."""

    folder: Path
    database: str
    accounts: Mapping[str, Mapping[str, Any]]

    def replica(self, name: str) -> Service:
        """Make a replica, which is not started yet."""
        webhook = {"platform": "webhook", "token": CALLER["authorization"].partition(" ")[2], "reply_within": 60.0}
        tables = {name: {"sends_per_second": 1e5, **table} for name, table in self.accounts.items()}
        accounts = {"webhook": webhook, **tables}
        settings = {"store": self.database, "encryption_key": "Z" * 43 + "=", "linger": LINGER}
        text = configuration(accounts, plugins=["gate", "echo"], **settings)
        (self.folder / "gate.py").write_text(GATE, encoding="utf-8")
        gate = configuration({}, use=str(self.folder / "gate.py"), file=str(self.gate))
        return Service(self.folder / name, f"{text}[plugin.gate]\n{gate}")

    @property
    def gate(self) -> Path:
        """The file that lets the held ones go."""
        return self.folder / "open"

    @contextlib.asynccontextmanager
    async def replicas(self, *names: str) -> AsyncIterator[list[Service]]:
        """Run replicas, all started at once; they end with the context, however they are."""
        services = [self.replica(name) for name in names]
        try:
            await asyncio.gather(*(service.start() for service in services))
            yield services
        finally:
            for service in services:
                await service.kill()


class Haproxy:
    """One haproxy that runs the shipped file as it is: only the variables at its top are set."""

    def __init__(self, folder: Path, replicas: Sequence[str], *, secure: str = "") -> None:
        """`replicas` are addresses; `secure` is a certificate's file, else it speaks plain HTTP at both doors."""
        self.log = folder / "haproxy.log"
        self.port, self.plain = free_port(), free_port()
        self.url = f"{'https' if secure else 'http'}://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="dgm-lb-"))  # a socket's path must be short
        nobody = ["127.0.0.1:9"] * (3 - len(replicas))
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")},
            "DRAGOMAN_HTTPS": f"127.0.0.1:{self.port}" + (f" ssl crt {secure} alpn h2,http/1.1" if secure else ""),
            "DRAGOMAN_HTTP": f"127.0.0.1:{self.plain}",
            "HAPROXY_SOCKET": str(self._folder / "admin.sock"),
            "HAPROXY_USER": pwd.getpwuid(os.getuid()).pw_name,
            "HAPROXY_GROUP": grp.getgrgid(os.getgid()).gr_name,
            **{f"DRAGOMAN_REPLICA_{number}": each for number, each in enumerate([*replicas, *nobody], 1)},
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it has looked after its replicas once."""
        program = need("haproxy", "haproxy")
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                program, "-db", "-f", str(HAPROXY), stdout=log, stderr=log, env=self.environ
            )
        async with asyncio.timeout(20):
            while not (self._folder / "admin.sock").exists():
                assert self._process.returncode is None, self.log.read_text(encoding="utf-8")
                await asyncio.sleep(0.02)
            while "INI" in {row["check_status"] for row in await self.show("hooks")}:
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def command(self, *lines: str) -> str:
        """Say something at the runtime socket; returns what it answers."""
        reader, writer = await asyncio.open_unix_connection(self._folder / "admin.sock")
        writer.write("; ".join(lines).encode() + b"\n")
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return answer

    async def show(self, backend: str) -> list[dict[str, str]]:
        """Return the figures of a backend's replicas."""
        table = await self.command("show stat")
        rows = csv.DictReader(table.removeprefix("# ").splitlines())
        return [row for row in rows if row["pxname"] == backend and row["svname"].startswith("replica-")]

    async def figures(self, backend: str, name: str) -> dict[str, int]:
        """Return a figure of a backend's replicas that take part, by replica."""
        return {
            row["svname"]: int(row[name]) for row in await self.show(backend) if not row["status"].startswith("MAINT")
        }

    async def until(self, replica: str, *states: str) -> None:
        """Wait until a replica is in one of some states, for all three policies."""
        async with asyncio.timeout(20):
            for backend in BACKENDS:
                while not {row["status"] for row in await self.show(backend) if row["svname"] == replica} & {*states}:
                    await asyncio.sleep(0.02)

    async def add(self, replica: str, address: str) -> None:
        """Fill a free place."""
        host, _, port = address.partition(":")
        said = await self.command(*(f"set server {backend}/{replica} addr {host} port {port}" for backend in BACKENDS))
        assert said.count("changed from") + said.count("no need to change") >= len(BACKENDS), said
        await self.command(f"set server hooks/{replica} state ready")
        await self.until(replica, "UP", "no check")

    async def drain(self, replica: str) -> None:
        """Let a replica finish what it has, without new requests (its WebSockets stay), and take it out."""
        await self.command(f"set server hooks/{replica} state drain")
        async with asyncio.timeout(20):
            for backend in ("hooks", "waiting"):
                while (await self.figures(backend, "scur"))[replica]:
                    await asyncio.sleep(0.02)

    async def remove(self, replica: str) -> None:
        """Leave the place of a replica free."""
        await self.command(f"set server hooks/{replica} state maint")

    def taken(self, backend: str, *, since: int = 0) -> list[tuple[str, str]]:
        """Read the log: which replica took which path, in order."""
        found = TAKEN.findall(self.log.read_text(encoding="utf-8")[since:])
        return [(replica, path) for part, replica, _, path in found if part == backend]


@contextlib.asynccontextmanager
async def haproxy(folder: Path, replicas: Sequence[str], *, secure: str = "") -> AsyncIterator[Haproxy]:
    """Run a haproxy while the context is open."""
    server = Haproxy(folder, replicas, secure=secure)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def asked(session: aiohttp.ClientSession, url: str, content: str, name: str) -> tuple[int, str]:
    """Ask the generic webhook, and wait for the reply; returns the status and what was said."""
    body = {"content": content, "id": name, "conversation_id": name}
    async with session.post(f"{url}/webhook", json=body, headers=CALLER) as answer:
        return answer.status, (await answer.json())["reply"] if answer.status == 200 else await answer.text()


def address(service: Service) -> str:
    """Return host and port of a replica."""
    return service.url.removeprefix("http://")


def self_signed(folder: Path) -> Path:
    """Make a certificate and its key in one file, as haproxy wants it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(local, critical=False).sign(key, hashes.SHA256())
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path
