"""Every line that the pages tell people to type is typed: what no row of the table knows, fails."""

import asyncio
import contextlib
import dataclasses
import getpass
import json
import os
import re
import secrets
import shlex
import shutil
import sys
import time
import tomllib
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.metadata import metadata, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import helm_python
import pytest
import yaml
from tests.deploy.balancer import Haproxy, haproxy, nginx
from tests.deploy.conftest import need

from dragoman.store.sqlite import SqliteStore
from dragoman.testing.process import Service, free_port, toml

if TYPE_CHECKING:
    from tests.docs.conftest import Page

NOWHERE: Final = "http://127.0.0.1:9"
"""Nobody listens there: a page's accounts start, and no test calls a platform."""
PLACES: Final = ("/var/lib/dragoman", "~/.local/share/dragoman")
"""Data folders, as the pages write them."""
ADDRESS: Final = "http://127.0.0.1:8080"

pytestmark = pytest.mark.timeout(240)


@dataclasses.dataclass(kw_only=True)
class Desk:
    """A reader's terminal: a folder, an environment, and the service that was started there."""

    page: "Page"
    folder: Path
    root: Path
    environ: dict[str, str]
    understood: Callable[[list[str]], str]
    service: Service
    talked: bool = False

    async def run(self, *command: str, given: str = "", folder: Path | None = None) -> tuple[int, str]:
        """Run a command to its end; returns its exit code and all that it wrote."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environ,
            cwd=folder or self.folder,
        )
        async with asyncio.timeout(120):
            out, _ = await process.communicate(given.encode())
        return process.returncode or 0, out.decode()

    async def dragoman(self, *words: str, given: str = "") -> tuple[int, str]:
        return await self.run(sys.executable, "-m", "dragoman", *words, given=given)

    async def running(self) -> None:
        """Have the service run, with one message answered."""
        if self.service.exited:
            await self.service.start()
        if not self.talked:
            self.talked = True
            code, out = await self.dragoman("chat", given="hello\n")
            assert code == 0, out


Step = Callable[[Desk, list[str]], Awaitable[None]]


def merged(tables: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Put a page's configuration into the first one, as its reader would."""
    for name, value in more.items():
        tables[name] = merged(dict(tables.get(name, {})), value) if isinstance(value, dict) else value
    return tables


def written(tables: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Write tables as TOML."""
    head = f"[{'.'.join(path)}]\n" if path else ""
    plain = "".join(f"{name} = {toml(value)}\n" for name, value in tables.items() if not isinstance(value, dict))
    below = "".join(written(value, (*path, name)) for name, value in tables.items() if isinstance(value, dict))
    return head + plain + below


def configuration(page: "Page", first: str) -> str:
    """Return the first configuration with all that a page adds to it; its platforms are nowhere."""
    tables = tomllib.loads(first)
    for block in page.of("toml"):
        if not block.saved_as:
            merged(tables, tomllib.loads(block.text))
    for account in tables["accounts"].values():
        if account["platform"] not in {"webhook", "postcard"}:
            account["api_base"] = NOWHERE
    return written(tables)


def lines(page: "Page") -> list[str]:
    """Return the commands of a page, each on one line, without comments."""
    joined = "\n".join(block.text for block in page.of("sh")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


# How a line is run: each takes the groups that its pattern found.


async def export(desk: Desk, found: list[str]) -> None:
    assert found[0] in desk.environ, f"{found[0]} is no secret that a configuration names"


async def start(desk: Desk, _: list[str]) -> None:
    if not desk.service.exited:
        assert await desk.service.stop() == 0
    await desk.service.start()


async def target(desk: Desk, found: list[str]) -> None:
    """Let make say what it would do, and read the words of a command of ours, or of the comparison."""
    words = shlex.split(found[0])
    code, out = await desk.run("make", "--dry-run", "--always-make", *words, folder=desk.root)
    assert code == 0, out
    for line in out.splitlines():
        if line.startswith(".venv/bin/dragoman"):
            desk.understood(shlex.split(line)[1:])
        elif line.startswith(".venv/bin/python -m benchmarks"):
            code, out = await desk.run(sys.executable, *shlex.split(line)[1:], "--help", folder=desk.root)
            assert code == 0, out


async def program(desk: Desk, found: list[str]) -> None:
    words = shlex.split(found[0])
    for place in PLACES:
        words = [str(desk.folder) if word == place else word for word in words]
    await COMMANDS[desk.understood(words)](desk, words)


async def chat(desk: Desk, words: list[str]) -> None:
    await desk.running()
    code, out = await desk.dragoman(*words, given="time\n")
    assert (code, "UTC" in out) == (0, True), out


async def trace(desk: Desk, words: list[str]) -> None:
    await desk.running()
    code, out = await desk.dragoman(*words)
    assert code == 0, out
    stages = ("receive", "authenticate", "parse", "route", "respond", "deliver")
    assert [stage for stage in stages if f"  {stage} " in out] == list(stages)


async def parked(desk: Desk, words: list[str]) -> None:
    await desk.running()
    assert await desk.dragoman(*words) == (0, "Nothing is parked.\n")


async def installations(desk: Desk, words: list[str]) -> None:
    await desk.running()
    assert await desk.dragoman(*words) == (0, "No workspace has installed an app.\n")


async def doctor(desk: Desk, words: list[str]) -> None:
    """Look: what the page's configuration names is nowhere to be reached, and that is all that may have failed."""
    code, out = await desk.dragoman(*words)
    assert code in {0, 1}, out
    assert '"python"' in out or "ok       python: 3." in out


async def remind(desk: Desk, words: list[str]) -> None:
    code, out = await desk.dragoman(*words)
    assert (code, "every: every working day at 09:00 (0 9 * * 1-5)" in out) == (0, True), out


async def broadcast(desk: Desk, words: list[str]) -> None:
    await desk.running()
    code, out = await desk.dragoman(*words)
    assert code == 0, out


async def uninstall(desk: Desk, words: list[str]) -> None:
    """The page's workspace is an example: nothing is installed in it."""
    await desk.running()
    code, out = await desk.dragoman(*words)
    assert (code, "is not installed in" in out) == (1, True), out


async def tasks(desk: Desk, words: list[str]) -> None:
    await desk.running()
    code, out = await desk.dragoman(*words)
    assert (code, bool(out)) == (0, True), out


async def key(desk: Desk, found: list[str]) -> None:
    code, out = await desk.run(*found[0].split())
    assert (code, len(out)) == (0, 45), out


async def kept(desk: Desk, words: list[str]) -> None:
    """The page's buckets are folders."""
    await desk.running()
    code, out = await desk.dragoman(*words)
    assert (code, bool(out)) == (0, True), out


async def user(desk: Desk, words: list[str]) -> None:
    """Whom a page looks for is an example: who talks here is found, and of anybody else there is nothing."""
    await desk.running()
    code, out = await desk.dragoman(*(["user", "find", getpass.getuser()] if words[1] == "find" else words))
    assert (code, "//" in out) == (0, True), out


async def archive(desk: Desk, words: list[str]) -> None:
    """Look when what was said has had its seconds."""
    await desk.running()
    async with asyncio.timeout(20):
        while "nothing waits" not in (await desk.dragoman("archive", "status"))[1]:
            await asyncio.sleep(0.2)
    code, out = await desk.dragoman(*words)
    assert (code, bool(out)) == (0, True), out


async def restored(desk: Desk, words: list[str]) -> None:
    code, out = await desk.dragoman(*words)
    assert (code, out.startswith("Restored the store of")) == (0, True), out
    assert await desk.dragoman("parked", "--data", words[-1]) == (0, "Nothing is parked.\n")


async def bench(desk: Desk, words: list[str]) -> None:
    """Run it as it is written, but shorter."""
    code, out = await desk.dragoman(*words, "--seconds", "1", "--rate", "30", "--json")
    report = json.loads(out)
    assert (code, report["answered"], report["lost"]) == (0, 30, 0)


async def conformance(desk: Desk, words: list[str]) -> None:
    code, out = await desk.dragoman(*words)
    assert code == 0, out
    assert re.search(r"^[1-9]\d* passed, 0 failed, 0 skipped$", out, re.MULTILINE)


async def script(desk: Desk, found: list[str]) -> None:
    """Run a benchmark as it is written, but shorter; each prints what is told of it."""
    options, told, times = {
        "benchmarks/store.py": (("--count", "200"), "/s  (", 3),
        "-m benchmarks.http_in": (("--count", "500", "--rounds", "1"), " us ", 6),
        "benchmarks/sizing.py": (("--seconds", "1", "--rate", "20"), "bytes a message", 1),
    }[found[0]]
    code, out = await desk.run(sys.executable, *found[0].split(), *options, folder=desk.root)
    assert code == 0, out
    assert out.count(told) == times


async def install(desk: Desk, _: list[str]) -> None:
    """Install the reader's package, really, into a place of its own."""
    place = desk.folder / "site"
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    code, out = await desk.run(sys.executable, "-m", "pip", "install", *offline, "--target", str(place), ".")
    assert code == 0, out
    desk.environ["PYTHONPATH"] = str(place)


async def suite(desk: Desk, found: list[str]) -> None:
    options = ("-q", "-p", "no:cacheprovider")
    code, out = await desk.run(sys.executable, "-m", "pytest", *options, found[0])
    assert code == 0, out
    assert re.search(r"^[1-9]\d* passed", out, re.MULTILINE)


async def extra(_desk: Desk, found: list[str]) -> None:
    """Know the extra; what it brings is among the tests' own libraries."""
    assert found[0] in metadata("dragoman").get_all("Provides-Extra", [])


async def replica(desk: Desk, words: list[str]) -> None:
    """Start a replica on a schema of its own, wait until it is ready, and stop it in order."""
    port, schema = free_port(), f"docs_{secrets.token_hex(4)}"
    words = [*words, "--port", str(port)] if "--port" not in words else words
    words[words.index("--port") + 1] = str(port)
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]
    async with database(schema) as url:
        environ = {**desk.environ, "DATABASE_URL": url}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dragoman", *words, env=environ, cwd=desk.folder, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            health = "live" if "--held" in words else "ready"
            await ready(f"http://127.0.0.1:{port}/health/{health}", process)
        finally:
            process.terminate()
            assert await process.wait() == 0


@contextlib.asynccontextmanager
async def database(schema: str) -> AsyncIterator[str]:
    """Make a schema on the server at hand, and drop it at the end."""
    url = os.environ.get("TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
    try:
        connection = await asyncpg.connect(url, timeout=3)
    except OSError:
        pytest.skip("no PostgreSQL answers (set TEST_POSTGRES)")
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{url}?search_path={schema}"
    finally:
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        await connection.close()


async def ready(address: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(address) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise AssertionError("it has ended by itself")


async def promtool(desk: Desk, found: list[str]) -> None:
    """Run Prometheus' own tool on the files that are shipped."""
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here (Debian: apt install prometheus)")
    code, out = await desk.run("promtool", *shlex.split(found[0]), folder=desk.root)
    assert (code, "SUCCESS" in out) == (0, True), out


async def helm(desk: Desk, found: list[str]) -> None:
    """Lint and render as Helm would before it installs: there is no cluster here."""
    name, chart, values = found
    given = yaml.safe_load((desk.folder / values).read_text(encoding="utf-8"))
    assert helm_python.lint(str(desk.root / chart), given, strict=True)["errors"] == []
    assert helm_python.Chart.load(str(desk.root / chart)).render(given, name=name, namespace="chat")


async def inside(desk: Desk, found: list[str]) -> None:
    """Look for the deployment among what the chart makes of the page's values, and read the command's words."""
    name, words = found
    values = yaml.safe_load((desk.folder / "values.yaml").read_text(encoding="utf-8"))
    made = helm_python.Chart.load(str(desk.root / "deploy/helm/dragoman")).render(values, name="bot", namespace="chat")
    assert any(f"kind: Deployment\nmetadata:\n  name: {name}\n" in text for text in made.values()), name
    desk.understood(shlex.split(words))


async def cluster_secret(desk: Desk, found: list[str]) -> None:
    """Look for each key where the chart, or the page's configuration, reads it."""
    values = (desk.root / "deploy/helm/dragoman/values.yaml").read_text(encoding="utf-8")
    for key in re.findall(r"--from-literal=([\w-]+)=", found[0]):
        assert f": {key}\n" in values or f"env:{key}" in desk.page.text, key


async def curl(desk: Desk, found: list[str]) -> None:
    """Let the shell read the line, then do what it asks for (not every machine has curl)."""
    await desk.running()
    line = found[0].replace(ADDRESS, desk.service.url).replace(PLACES[1], str(desk.folder))
    line = line.replace("deploy/secrets/webhook-token", str(desk.folder / "webhook.token"))
    code, out = await desk.run("/bin/sh", "-c", f"printf '%s\\0' {line}")
    assert code == 0, out
    quiet, address, *options = out.split("\0")[:-1]
    headers = dict(options[at + 1].split(": ", 1) for at, option in enumerate(options) if option == "-H")
    body = options[options.index("-d") + 1]
    assert quiet == "-sS"
    request = urllib.request.Request(address, body.encode(), headers)  # noqa: S310 - our own service
    with await asyncio.to_thread(urllib.request.urlopen, request, timeout=60) as answer:
        assert json.load(answer)["reply"]


async def copy(desk: Desk, words: list[str]) -> None:
    """Copy between the folder and a schema of its own; the way back begins with the way there."""
    file = desk.folder / "dragoman.db"
    if not file.exists():
        store = await SqliteStore.open(file, time.time)
        await store.keep("cursor", "17")
        await store.close()
    async with database(f"docs_{secrets.token_hex(4)}") as url:
        desk.environ["DATABASE_URL"] = url
        if words[2] == "env:DATABASE_URL":
            code, out = await desk.dragoman("store", "copy", *words[:1:-1])
            assert code == 0, out
            file.unlink()
        code, out = await desk.dragoman(*words)
        assert (code, "1 rows are in" in out) == (0, True), out


async def container(desk: Desk, found: list[str]) -> None:
    """Read a command inside, and look whether the image is ours: `make image-test` really types the line."""
    words = shlex.split(found[0])
    images = [word for word in words if word.startswith("localhost/")]
    assert images == [f"localhost/dragoman:{version('dragoman')}"] * (words[0] == "run")
    if "dragoman" in words:
        desk.understood(words[words.index("dragoman") + 1 :])


async def compose(desk: Desk, found: list[str]) -> None:
    """Look whether the file has the profile and the service: `make compose-test` really starts them."""
    profile, file, words = found[0] or "one", found[1], shlex.split(found[2])
    services = yaml.safe_load((desk.root / file).read_text(encoding="utf-8"))["services"]
    started = {name for name, service in services.items() if profile in service["profiles"]}
    assert started
    assert words[0] in {"up", "ps", "logs", "down"}
    assert {word for word in words[1:] if not word.startswith("-")} <= started


async def unit(desk: Desk, found: list[str]) -> None:
    assert (desk.root / "deploy/systemd" / f"{found[0]}.service").exists()


async def shipped(desk: Desk, found: list[str]) -> None:
    assert (desk.root / found[0]).is_file()


async def git(desk: Desk, found: list[str]) -> None:
    """Run it in a clone of this repository, where the page's tags are; a source archive has no history."""
    clone = desk.folder / "clone"
    if not (desk.root / ".git").exists():
        return
    if not clone.exists():
        code, out = await desk.run("git", "clone", "--quiet", "--shared", str(desk.root), str(clone))
        assert code == 0, out
        for tag in re.findall(r"git checkout (v\S+)", desk.page.text):
            await desk.run("git", "tag", tag, folder=clone)
    code, out = await desk.run("git", *shlex.split(found[0]), folder=clone)
    assert code == 0, out


async def check_balancer(desk: Desk, found: list[str]) -> None:
    """Let haproxy read its file, with this machine's door and user."""
    program, here = need("haproxy", "haproxy"), Haproxy(desk.folder, [])
    desk.environ.update(here.environ)
    code, out = await desk.run(program, "-c", "-f", found[0], folder=desk.root)
    assert code == 0, out
    await here.stop()


async def tell_balancer(desk: Desk, found: list[str]) -> None:
    """Say it to a haproxy that runs: one that does not understand says so."""
    async with haproxy(desk.folder, []) as here:
        said = await here.command(found[0])
    assert not re.search("unknown|require|invalid|can't|no such", said, re.IGNORECASE), said


async def tell_nginx(desk: Desk, found: list[str]) -> None:
    """Say it to an nginx that runs."""
    (folder := desk.folder / secrets.token_hex(4)).mkdir()
    async with nginx(folder, ["127.0.0.1:9"]) as here:
        assert await (await here.run(*found[0].split())).wait() == 0, here.said()


async def nothing(_desk: Desk, _found: list[str]) -> None:
    """Do nothing: there is no systemd here, no cluster, and no machine of ours to change."""


TABLE: Final[Mapping[str, Step]] = {
    r"export (\w+)='[^']+'": export,
    r"make run": start,
    r"make ((?!run\b).+)": target,
    r"(?:\.venv/bin/)?dragoman (.+)": program,
    r"\.venv/bin/python (benchmarks/\w+\.py|-m benchmarks\.\w+)": script,
    r"python -m pip install \.": install,
    r"pip install 'dragoman\[(\w+)\]'": extra,
    r"python -m pytest (\w+\.py)": suite,
    r"promtool (.+)": promtool,
    r"helm (?:install|upgrade) (\w+) (\S+) --namespace chat --values (\S+)": helm,
    r"helm rollback \w+ --namespace chat": nothing,
    r"kubectl --namespace chat create secret generic \w+ (.+)": cluster_secret,
    r"haproxy -c -f (\S+)": check_balancer,
    r'echo "([^"]+)" \| socat stdio /run/haproxy/admin\.sock': tell_balancer,
    r"nginx (-t|-s reload)": tell_nginx,
    r"kubectl --namespace chat exec deployment/(\S+) -- +dragoman (.+)": inside,
    r"kubectl create namespace \w+": nothing,
    r"kubectl apply --kustomize build/manifests": nothing,
    r"curl (.+)": curl,
    r"docker ((?:run|logs|exec|stop|rm) .+)": container,
    r"(?:COMPOSE_PROFILES=(\w+) )?docker compose --file (\S+) (.+)": compose,
    r"systemctl daemon-reload": nothing,
    r"(openssl rand -base64 32)": key,
    r"systemctl (?:enable --now|restart|stop|start) (\w+)": unit,
    r"systemctl reload caddy": nothing,
    r"journalctl --unit (\w+) --lines 30": unit,
    r"apt install [a-z0-9 -]+": nothing,
    r"cp (deploy/\S+) /etc/\S+": shipped,
    r"(?:touch|chmod 600) /etc/dragoman\.env": nothing,
    r"git (.+)": git,
}
COMMANDS: Final[Mapping[str, Step]] = {
    "run": replica,
    "chat": chat,
    "trace": trace,
    "parked": parked,
    "doctor": doctor,
    "installations": installations,
    "uninstall": uninstall,
    "remind parse": remind,
    **{f"tasks {name}": tasks for name in ("list", "show", "run", "pause", "resume", "add", "cancel")},
    **{f"user {name}": user for name in ("find", "export", "erase", "hold", "holds", "release")},
    **{f"archive {name}": archive for name in ("status", "verify")},
    "bench": bench,
    "conformance": conformance,
    "store copy": copy,
    "backup": kept,
    "verify": kept,
    "drill": kept,
    "restore": restored,
    **{f"broadcast {name}": broadcast for name in ("send", "list", "show", "watch", "pause", "resume", "abort")},
}


def step(line: str) -> tuple[Step, list[str]]:
    """Find how a line is run; raises `LookupError`."""
    for pattern, runs in TABLE.items():
        if found := re.fullmatch(pattern, line):
            return runs, list(found.groups())
    raise LookupError(line)


async def test_every_line_of_a_page_does_what_it_says(
    shell_page: "Page",
    desk: "Callable[[Page], Path]",
    understood: Callable[[list[str]], str],
    secrets: dict[str, str],
    root: Path,
) -> None:
    folder = desk(shell_page)
    first = (folder / "dragoman.toml").read_text(encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DRAGOMAN_", "MAKE"))}
    terminal = Desk(
        page=shell_page,
        folder=folder,
        root=root,
        environ={**environ, **secrets, "DRAGOMAN_DATA": str(folder)},
        understood=understood,
        service=Service(folder, configuration(shell_page, first)),
    )
    try:
        for line in lines(shell_page):
            runs, found = step(line)
            await runs(terminal, found)
    finally:
        assert await terminal.service.stop() == 0


@pytest.mark.parametrize("line", ["rm -rf /", "dragoman", "make run and more", "curl"])
def test_a_line_that_the_table_does_not_know_is_noticed(line: str) -> None:
    with pytest.raises(LookupError):
        step(line)
