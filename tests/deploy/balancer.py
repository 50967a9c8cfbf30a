"""The balancers as an operator runs them, by the configurations that are shipped, and real replicas behind them."""

import asyncio
import contextlib
import csv
import dataclasses
import datetime as dt
import grp
import ipaddress
import os
import pwd
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.deploy.conftest import DEPLOY, need

from dragoman.testing.process import Service, configuration, free_port
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.slack import SlackSimulator

HERE: Final = Path(__file__).parent
HAPROXY: Final = DEPLOY / "haproxy" / "haproxy.cfg"
NGINX: Final = DEPLOY / "nginx"
BACKENDS: Final = ("hooks", "waiting", "chat")
CALLER: Final = {"authorization": "Bearer a-caller-of-the-tests"}
LINGER: Final = 3.0

Socket = aiohttp.ClientWebSocketResponse
TAKEN: Final = re.compile(r" (\w+)/(\S+) \S+ \S+ \S+ \S+ \S+ (?:GET|POST) (\S+)$", re.MULTILINE)
"""A line of haproxy's log: backend, replica and path of a request."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """What all replicas have in common: their folder, their database, their accounts."""

    folder: Path
    database: str
    accounts: Mapping[str, Mapping[str, Any]]
    plugin: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"use": str(HERE / "gate.py")})
    """What answers before the echo: its file, and its settings besides the folder of the gate."""

    def replica(self, name: str) -> Service:
        """Make a replica, which is not started yet."""
        webhook = {"platform": "webhook", "token": CALLER["authorization"].partition(" ")[2], "reply_within": 60.0}
        tables = {each: {"sends_per_second": 1e5, **table} for each, table in self.accounts.items()}
        settings = {"store": self.database, "encryption_key": "Z" * 43 + "=", "linger": LINGER}
        first = Path(self.plugin["use"]).stem
        text = configuration({"webhook": webhook, **tables}, plugins=[first, "echo"], **settings)
        gate = {"folder": str(self.folder / "gate")} if first == "gate" else {}
        (self.folder / "gate").mkdir(exist_ok=True)
        return Service(self.folder / name, f"{text}[plugin.{first}]\n{configuration({}, **self.plugin, **gate)}")

    def open(self, *names: str) -> None:
        """Let the held ones of these names go."""
        for name in names:
            (self.folder / "gate" / name).touch()

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


@contextlib.asynccontextmanager
async def slack_site(folder: Path, database: str) -> AsyncIterator[tuple[Site, SlackSimulator]]:
    """Make the site of a bot in Slack, on the generic webhook, and on the chat page."""
    slack = SlackSimulator()
    slack.unlimited()
    async with serve(slack) as platform:
        accounts = {"team": {"platform": "slack", **slack.settings(platform)}}
        yield Site(folder=folder, database=database, accounts=accounts), slack


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
            **os.environ,
            "BALANCER_HTTPS": f"127.0.0.1:{self.port}" + (f" ssl crt {secure} alpn h2,http/1.1" if secure else ""),
            "BALANCER_HTTP": f"127.0.0.1:{self.plain}",
            "BALANCER_SOCKET": str(self._folder / "admin.sock"),
            "BALANCER_USER": pwd.getpwuid(os.getuid()).pw_name,
            "BALANCER_GROUP": grp.getgrgid(os.getgid()).gr_name,
            **{f"BALANCER_REPLICA_{number}": each for number, each in enumerate([*replicas, *nobody], 1)},
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
        return [(replica, path) for part, replica, path in found if part == backend]


@contextlib.asynccontextmanager
async def haproxy(folder: Path, replicas: Sequence[str], *, secure: str = "") -> AsyncIterator[Haproxy]:
    """Run a haproxy while the context is open."""
    server = Haproxy(folder, replicas, secure=secure)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


class Nginx:
    """One nginx that includes the shipped file as it is; the two files beside it are those of this machine."""

    def __init__(self, folder: Path, replicas: Sequence[str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "nginx" / "access.log"
        self._folder = folder / "nginx"
        self._replicas = list(replicas)
        self._process: asyncio.subprocess.Process | None = None
        self._folder.mkdir()
        door = f"listen 127.0.0.1:{self.port}; access_log {self.log} dragoman;"
        (self._folder / "dragoman.door").write_text(door, encoding="utf-8")
        self._written("dragoman.replicas", frozenset())
        parts = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = " ".join(f"{part}_temp_path {self._folder / part};" for part in parts)
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        (self._folder / "nginx.conf").write_text(
            f"""{f"user {user} {group};" if os.getuid() == 0 else ""}
            daemon off; worker_processes 2; error_log stderr; pid {self._folder / "pid"};
            events {{ worker_connections 512; }}
            http {{
                {places}
                access_log off;
                include {NGINX / "dragoman.conf"};
            }}""",
            encoding="utf-8",
        )

    def _written(self, name: str, down: Collection[str]) -> None:
        shipped = (NGINX / name).read_text(encoding="utf-8").splitlines()
        options = next(line for line in shipped if line.startswith("server ")).split()[2:]
        lines = [" ".join(["server", each, *(["down"] if each in down else []), *options]) for each in self._replicas]
        (self._folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    async def run(self, *options: str) -> asyncio.subprocess.Process:
        """Run the program on this configuration."""
        program, conf = need("nginx", "nginx"), str(self._folder / "nginx.conf")
        with (self._folder / "nginx.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(program, "-c", conf, *options, stdout=log, stderr=log)

    async def start(self) -> None:
        """Test the configuration, start, and wait until the door is open."""
        test = await self.run("-t")
        assert await test.wait() == 0, self.said()
        self._process = await self.run()
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while True:
                assert self._process.returncode is None, self.said()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self.url + "/nothing") as answer:
                        assert answer.status == 404
                        return
                await asyncio.sleep(0.02)

    async def reload(self, *, down: Collection[str] = (), replicas: Sequence[str] = ()) -> None:
        """Change the list of replicas, and let nginx read it again; returns when the old workers take nothing new."""
        self._replicas = list(replicas or self._replicas)
        self._written("dragoman.replicas", down)
        assert self._process is not None
        before = {child.pid for child in psutil.Process(self._process.pid).children()}
        assert await (await self.run("-s", "reload")).wait() == 0, self.said()
        async with asyncio.timeout(20):
            while any(_accepts(pid, self.port) for pid in before):
                await asyncio.sleep(0.02)

    def said(self) -> str:
        """Return what nginx wrote."""
        return (self._folder / "nginx.log").read_text(encoding="utf-8")

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    def taken(self, *, since: int = 0) -> list[tuple[str, str]]:
        """Read the log: which replica took which path, in order."""
        lines = self.log.read_text(encoding="utf-8")[since:].splitlines()
        return [(words[2], words[-1]) for words in map(str.split, lines)]


def _accepts(pid: int, port: int) -> bool:
    """Tell whether a process listens on a port still."""
    try:
        connections = psutil.Process(pid).net_connections("tcp4")
    except psutil.NoSuchProcess:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


@contextlib.asynccontextmanager
async def nginx(folder: Path, replicas: Sequence[str]) -> AsyncIterator[Nginx]:
    """Run an nginx while the context is open."""
    server = Nginx(folder, replicas)
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


@contextlib.asynccontextmanager
async def chat(session: aiohttp.ClientSession, url: str, visitor: str) -> AsyncIterator[Socket]:
    """Open the chat's WebSocket as a visitor's page does."""
    headers = {"origin": url, "cookie": f"dragoman_chat={visitor}"}
    async with session.ws_connect(f"{url}/chat/socket", headers=headers) as socket:
        assert (await socket.receive_json(timeout=10))["type"] == "history"
        yield socket


async def reply(socket: Socket, text: str) -> str:
    """Say something in the chat; returns what the bot says."""
    await socket.send_json({"id": text, "text": text})
    while (frame := await socket.receive_json(timeout=20)).get("by") != "bot":
        assert frame["type"] != "error", frame
    words: str = frame["text"]
    return words


def address(service: Service) -> str:
    """Return host and port of a replica."""
    return service.url.removeprefix("http://")


def self_signed(folder: Path) -> Path:
    """Make a certificate and its key in one file, as haproxy wants it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(local, critical=False).sign(key, hashes.SHA256())
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path
