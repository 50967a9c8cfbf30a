"""The image, built and run as an operator would run it who trusts nothing: locked in, limited, with one volume."""

import json
import re
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.image import stand_ins
from tests.image.engine import ROOT, Broken, Engine
from tests.image.talk import fetch, lines, ready, said, until

from deploy import image as builder
from dragoman.testing.process import free_port

IMAGE: Final = f"{builder.REPOSITORY}:{builder.version()}"
LARGEST: Final = 275.0
"""Megabytes, unpacked."""
LOCKED: Final = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"),
    *("--memory=256m", "--cpus=1", "--pids-limit=128"),
)
NAME: Final = "dragoman-image-test"


class Bot:
    """A container with its volume, and the port at which it is reached."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.url = f"http://127.0.0.1:{free_port()}"

    def start(self) -> float:
        """Run it; returns the seconds until it was ready."""
        port = self.url.rpartition(":")[2]
        begun = time.monotonic()
        place = ("--volume", f"{NAME}:/data", "--publish", f"127.0.0.1:{port}:8080")
        self.engine("run", "--detach", "--name", NAME, *LOCKED, *place, IMAGE)
        until(lambda: ready(self.url), "the bot")
        return time.monotonic() - begun

    def stop(self) -> int:
        """End it as an engine does; returns its exit code, and removes it but for its volume."""
        self.engine("stop", "--time", "30", NAME)
        state = self.engine.inspect("container", NAME)["State"]
        self.engine("rm", NAME)
        return int(state["ExitCode"])

    def inside(self, *words: str, given: str = "") -> str:
        """Run a program in it."""
        return self.engine("exec", *(("--interactive",) if given else ()), NAME, *words, given=given)

    @property
    def token(self) -> str:
        return self.inside("cat", "/data/webhook.token").strip()


def is_small(engine: Engine) -> str:
    size = engine.inspect("image", IMAGE)["Size"] / 1e6
    base = engine.inspect("image", stand_ins.BASE)["Size"] / 1e6
    assert size <= LARGEST, f"{size:.0f} MB are more than {LARGEST:.0f}"
    return f"{size:.0f} MB unpacked, of which {base:.0f} are the base"


def says_what_it_is(engine: Engine) -> str:
    labels = engine.inspect("image", IMAGE)["Labels"]
    given = {name.rpartition(".")[2]: value for name, value in labels.items() if name.startswith("org.opencontainers.")}
    assert given["version"] == builder.version()
    assert given["revision"] == builder.revision()
    assert all(given[name] for name in ("title", "description", "licenses", "source", "documentation"))
    return f"{len(given)} labels"


def needs_no_root_and_no_shell(engine: Engine) -> str:
    config = engine.inspect("image", IMAGE)["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["dragoman"], ["run"])
    assert engine.inspect("image", IMAGE)["Healthcheck"]["Test"] == ["CMD", "dragoman", "health"]
    assert list(config["Volumes"]) == ["/data"]
    return "uid 10001, exec form, one volume"


def lists_its_parts(engine: Engine) -> str:
    text = engine("run", "--rm", *LOCKED, "--entrypoint", "cat", IMAGE, "/opt/dragoman/sbom.cdx.json")
    document = json.loads(text)
    parts = {part["name"]: part for part in document["components"]}
    python = [part for part in parts.values() if part["purl"].startswith("pkg:pypi/")]
    debian = [part for part in parts.values() if part["purl"].startswith("pkg:deb/")]
    wanted = {"aiohttp", "asyncpg", "obstore", "redis", "libc6"}
    itself = document["metadata"]["component"]
    assert (document["bomFormat"], itself["name"], itself["version"]) == ("CycloneDX", "dragoman", builder.version())
    assert wanted <= set(parts), wanted - set(parts)
    assert "binutils" not in parts  # a tool of the build
    assert all(part["version"] for part in parts.values())
    return f"{len(python)} Python packages, {len(debian)} of Debian"


def can_use_every_extra(engine: Engine) -> str:
    program = "import asyncpg, obstore, redis, uvloop, apsw, cryptography, pydantic_ai.models.openai; print('all')"
    assert engine("run", "--rm", *LOCKED, "--entrypoint", "python", IMAGE, "-c", program) == "all\n"
    return "imported"


def holds_a_conversation(engine: Engine) -> str:
    bot = Bot(engine)
    seconds = bot.start()
    try:
        assert "write to me" in said(bot.url, bot.token, "help")
        assert said(bot.url, "wrong", "help").startswith("401")
        assert "hello" in bot.inside("dragoman", "chat", given="hello\n").lower()
        assert fetch(f"{bot.url}/chat")[0] == 401
        link = next(line.split()[1] for line in engine("logs", NAME).splitlines() if line.strip().startswith("Chat"))
        assert fetch(f"{bot.url}/chat?{link.partition('?')[2]}")[0] == 200
    finally:
        code = bot.stop()
    assert code == 0, f"SIGTERM: exit code {code}"
    return f"ready after {seconds:.1f} s, ended by SIGTERM with 0"


def is_locked_in(engine: Engine) -> str:
    bot = Bot(engine)
    bot.start()
    try:
        status = bot.inside("cat", "/proc/1/status")
        found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        changed = engine("diff", NAME).splitlines()
        limits = engine.inspect("container", NAME)["HostConfig"]
    finally:
        bot.stop()
    assert found["Uid"].split() == ["10001"] * 4
    assert (found["CapEff"], found["NoNewPrivs"]) == ("0" * 16, "1")
    assert (limits["Memory"], limits["NanoCpus"], limits["ReadonlyRootfs"]) == (256 << 20, 10**9, True)
    mounted = tuple(f"A /{folder}" for folder in ("data", "dev", "etc", "proc", "run", "sys"))
    assert [line for line in changed if line.startswith("A") and not line.startswith(mounted)] == []
    return f"no capability, {int(found['VmRSS'].split()[0]) / 1000:.0f} MB in memory"


def is_healthy(engine: Engine) -> str:
    bot = Bot(engine)
    bot.start()
    try:
        engine("healthcheck", "run", NAME)
        state = engine.inspect("container", NAME)["State"]["Health"]
    finally:
        bot.stop()
    assert (state["Status"], state["Log"][-1]["Output"].strip()) == ("healthy", "ready")
    return "healthy: ready"


def keeps_its_data(engine: Engine) -> str:
    bot = Bot(engine)
    bot.start()
    token = bot.token
    try:
        said(bot.url, token, "remind me in 2 hours to call mum", "kept")
        engine("kill", "--signal", "KILL", NAME)
        engine("rm", "--force", NAME)
        bot.start()
        assert bot.token == token
        assert "call mum" in said(bot.url, token, "my reminders", "kept")
    finally:
        bot.stop()
    return "a reminder outlived kill -9 and its container"


def is_run_as_the_guide_says(engine: Engine) -> str:
    """Type the guide's lines, with podman for docker, a port that is free, and names of our own."""
    url = Bot(engine).url
    typed = lines(ROOT / "docs/how-to/run-in-a-container.md")
    try:
        for line in typed:
            own = line.replace("docker ", "podman ").replace("127.0.0.1:8080", url.removeprefix("http://"))
            own = re.sub(r"(--name|--interactive|exec|logs|stop|rm) bot\b", rf"\1 {NAME}", own)
            own = own.replace("dragoman:/data", f"{NAME}:/data")
            engine.run(["/bin/sh", "-c", own], given="hello\n")
            if " run " in line:
                until(lambda: ready(url), "the bot")
    finally:
        left = engine("ps", "--all", "--quiet", "--filter", f"name={NAME}").split()
    assert left == []
    return f"{len(typed)} lines"


CHECKS: Final[tuple[Callable[[Engine], str], ...]] = (
    is_small,
    says_what_it_is,
    needs_no_root_and_no_shell,
    lists_its_parts,
    can_use_every_extra,
    holds_a_conversation,
    is_locked_in,
    is_healthy,
    keeps_its_data,
    is_run_as_the_guide_says,
)


def prepare(engine: Engine) -> None:
    """Build the image."""
    if stand_ins.base(engine):
        sys.stderr.write(f"{stand_ins.BASE} is a stand-in made of Debian's packages\n")
    engine.run(builder.command("podman", *stand_ins.CERTIFICATES), seconds=900)


def clean(engine: Engine) -> None:
    """Leave no container and no volume."""
    for words in (("rm", "--force", NAME), ("volume", "rm", "--force", NAME)):
        try:
            engine(*words)
        except Broken as error:
            sys.stderr.write(f"{error}\n")
