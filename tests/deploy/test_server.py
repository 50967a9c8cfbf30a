"""The single server: the unit that systemd takes, and the real Caddy in front, which publishes what it should only."""

import asyncio
import configparser
import contextlib
import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import typer
from tests.deploy.conftest import DEPLOY, need

from dragoman import cli
from dragoman.testing.process import Service, configuration, free_port

UNIT: Final = DEPLOY / "systemd" / "dragoman.service"
CADDY: Final = DEPLOY / "caddy" / "Caddyfile"
EXPOSED: Final = 20
"""The most exposure that `systemd-analyze security` may see, in tenths (0: locked up, 100: everything open)."""


def unit() -> configparser.SectionProxy:
    """Read the unit's section about the process; of settings that stand twice, the last."""
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.read_string(UNIT.read_text(encoding="utf-8"))
    return read["Service"]


def analyze(*words: str) -> tuple[int, str]:
    program = need("systemd-analyze", "systemd")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    return done.returncode, done.stdout + done.stderr


def test_the_unit_starts_a_command_that_exists_and_leaves_it_time_to_stop() -> None:
    program, name, *words = shlex.split(unit()["ExecStart"])
    command = getattr(typer.main.get_command(cli.commands()), "commands")[name]  # noqa: B009 - a group's, for the types

    assert (program, name) == ("/opt/dragoman/.venv/bin/dragoman", "run")
    assert command.make_context(name, words).params["data"] == "/var/lib/" + unit()["StateDirectory"]
    assert float(unit()["TimeoutStopSec"]) > 25  # what an orderly stop may take


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/opt/dragoman/.venv/bin/dragoman", sys.executable)
    file = tmp_path / UNIT.name
    file.write_text(text, encoding="utf-8")

    code, said = analyze("verify", str(file))
    assert (code, [line for line in said.splitlines() if "dragoman.service" in line]) == (0, [])


def test_systemd_finds_the_unit_locked_up() -> None:
    code, said = analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSED}", str(UNIT))

    assert code == 0, said.splitlines()[-1]


@contextlib.asynccontextmanager
async def published(folder: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Run the bot, and the shipped Caddyfile in front of it with a certificate of Caddy's own."""
    program, port = need("caddy", "caddy"), free_port()
    name = f"https://localhost:{port}"
    accounts = {"hook": {"platform": "webhook", "token": "a-token-of-the-tests"}}
    text = configuration(accounts, public_url=name, chat_token="a-chat-token-of-the-tests", plugins=["echo"])
    service = Service(folder / "data", text)
    file, storage = folder / "Caddyfile", folder / "caddy"
    head = (
        f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tlocal_certs\n"
        f"\tstorage file_system {storage}\n}}\n"
    )
    site = CADDY.read_text(encoding="utf-8").replace("127.0.0.1:8080", service.url.removeprefix("http://"))
    file.write_text(head + re.sub(r"^bot\.example\.org \{", f"{name} {{", site, flags=re.MULTILINE), encoding="utf-8")
    await service.start()
    quiet = asyncio.subprocess.DEVNULL
    words = ("run", "--config", str(file), "--adapter", "caddyfile")
    process = await asyncio.create_subprocess_exec(program, *words, stdout=quiet, stderr=quiet)
    try:
        trust = await trusted(storage / "pki/authorities/local/root.crt", port)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            yield session, name
    finally:
        process.terminate()
        await process.wait()
        assert await service.stop() == 0


async def trusted(root: Path, port: int) -> ssl.SSLContext:
    """Wait until Caddy serves with its own certificate, and trust that one alone."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError, ssl.SSLError):
                trust = ssl.create_default_context(cafile=root)
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
                writer.close()
                return trust
            await asyncio.sleep(0.05)


async def test_caddy_publishes_the_hooks_and_the_chat_page_by_tls_and_nothing_else(tmp_path: Path) -> None:
    async with published(tmp_path) as (session, name):
        headers = {"authorization": "Bearer a-token-of-the-tests"}
        async with session.post(f"{name}/hooks/hook", json={"content": "hello"}, headers=headers) as answer:
            reply = await answer.json()
        async with session.get(f"{name}/chat?token=a-chat-token-of-the-tests") as page:
            chat = page.status
        async with session.ws_connect(f"{name}/chat/socket", headers={"origin": name}) as socket:
            hello = await socket.receive_json(timeout=10)
        kept = {}
        for path in ("/metrics", "/health/ready", "/", "/api", "/hooks"):
            async with session.get(f"{name}{path}") as answer:
                kept[path] = answer.status

    assert (reply["reply"], chat, hello["type"]) == ("echo: hello", 200, "history")
    assert set(kept.values()) == {404}
