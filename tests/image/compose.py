"""compose.yaml, started by podman-compose as its guide says: the bot alone, and everything with three replicas."""

import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.image import container, stand_ins
from tests.image.engine import ROOT, Broken, Engine
from tests.image.talk import fetch, said, until

from deploy import make_secrets
from dragoman.testing.process import free_port

PROJECT: Final = f"dragoman-test-{os.getpid()}"
COMPOSE: Final = [str(ROOT / "build/compose/bin/podman-compose"), "--project-name", PROJECT]
PORTS: Final = {name: str(free_port()) for name in ("PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")}
URL, PROMETHEUS, GRAFANA = (f"http://127.0.0.1:{port}" for port in PORTS.values())
REPLICAS: Final = [f"{PROJECT}_bot_{number}" for number in (1, 2, 3)]


OBJECT: Final = """
import obstore
key, secret = (open(f"/run/secrets/s3-{name}").read().strip() for name in ("key", "secret"))
keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_region": "us-east-1"}
options = {"client_options": {"allow_http": True}, "config": {**keys, "aws_endpoint": "http://s3:8333"}}
bucket = obstore.store.from_url("s3://dragoman", **options)
obstore.put(bucket, "probe", b"kept")
print(bytes(obstore.get(bucket, "probe").bytes()).decode())
"""
"""What a replica does to put an object into the bucket and get it back."""


class Project:
    """A copy of the files beside compose.yaml, with secrets of its own."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        leave = shutil.ignore_patterns("secrets", "helm", "__pycache__")
        shutil.copytree(ROOT / "deploy", folder, ignore=leave, dirs_exist_ok=True)

    def __call__(self, *words: str, profile: str = "") -> str:
        """Run podman-compose."""
        file = ("--file", str(self.folder / "compose.yaml"))
        chosen = {**PORTS, **({"COMPOSE_PROFILES": profile} if profile else {})}
        return self.engine.run([*COMPOSE, *file, *words], seconds=180, environ=chosen)

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def up(engine: Engine, profile: str) -> Iterator[Project]:
    """Start a profile; at the end nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="dragoman-compose-") as folder:
        project = Project(engine, Path(folder) / "deploy")
        if profile:
            make_secrets.make(project.folder / "secrets")
        try:
            project("up", "--detach", profile=profile)
            yield project
        except BaseException:
            with contextlib.suppress(Broken):
                sys.stderr.write(project("logs", "--tail", "20", profile=profile))
            raise
        finally:
            project("down", "--volumes", profile=profile)


def one_command_starts_a_bot(engine: Engine) -> str:
    with up(engine, "") as project:
        until(lambda: fetch(f"{URL}/health/ready")[0] == 200, "the bot")
        token = engine("exec", f"{PROJECT}_solo_1", "cat", "/data/webhook.token").strip()
        assert "write to me" in said(URL, token, "help")
        running = project("ps", "--quiet").split()
    assert len(running) == 1, running
    return "one container on SQLite, without a secret to be made"


def many_serve_behind_haproxy(engine: Engine) -> str:
    with up(engine, "many") as project:
        token = project.secret("webhook-token")
        until(lambda: said(URL, token, "hello").startswith("Hello"), "a reply through haproxy")
        seen = [
            _is_shared(project, token),
            _survives_a_kill(engine, token),
            _is_watched(),
            _is_healthy(engine),
            _has_what_is_around_it(engine, project),
        ]
    left = engine("ps", "--all", "--quiet", "--filter", f"name={PROJECT}").split()
    assert left == []
    return "; ".join(seen)


def _is_shared(project: Project, token: str) -> str:
    """Talk in one conversation until every replica must have had a part in it; the memory is common."""
    said(URL, token, "remind me in 2 hours to call mum", "shared")
    replies = [said(URL, token, "my reminders", "shared") for _ in range(9)]
    assert all("call mum" in reply for reply in replies), replies
    assert fetch(f"{URL}/metrics", token=project.secret("metrics-token"))[0] == 404
    assert fetch(f"{URL}/chat?token={project.secret('chat-token')}")[0] == 200
    return "a reminder is known to all replicas"


def _survives_a_kill(engine: Engine, token: str) -> str:
    """Kill replicas and the database under the conversation."""
    for name in (REPLICAS[0], f"{PROJECT}_valkey_1", f"{PROJECT}_postgres_1"):
        engine("kill", "--signal", "KILL", name)
        engine("start", name)
        until(lambda: "call mum" in said(URL, token, "my reminders", "shared"), f"a reply after the death of {name}")
    return "replies after kill -9 of a replica, the cache and the database"


def _is_watched() -> str:
    """Look at Prometheus' targets and at a number that only the bots have."""
    question = urllib.parse.quote('count(up{job="dragoman"} == 1)')
    until(lambda: '"3"' in fetch(f"{PROMETHEUS}/api/v1/query?query={question}")[1], "three targets")
    rules = json.loads(fetch(f"{PROMETHEUS}/api/v1/rules")[1])["data"]["groups"]
    loaded = [rule for group in rules for rule in group["rules"]]
    assert all(rule["health"] != "err" for rule in loaded)
    until(lambda: fetch(f"{GRAFANA}/api/health")[0] == 200, "what Grafana would read")
    return f"three targets and {len(loaded)} rules in Prometheus"


def _is_healthy(engine: Engine) -> str:
    """Run the health checks: without systemd podman does not run them by itself, and moto has no page for its own."""
    services = ("haproxy", "postgres", "valkey", "prometheus", "grafana")
    names = [*REPLICAS, *(f"{PROJECT}_{service}_1" for service in services)]
    for name in names:
        until(functools.partial(_check, engine, name), f"the health of {name}")
    return f"{len(names)} health checks"


def _check(engine: Engine, name: str) -> bool:
    try:
        engine("healthcheck", "run", name)
    except Broken:
        return False
    return True


def _has_what_is_around_it(engine: Engine, project: Project) -> str:
    """Look into each of the servers that the bot is given."""
    program = "import urllib.request as r; print(r.urlopen('http://s3:8333/').read().decode())"
    until(lambda: "<Name>dragoman</Name>" in engine("exec", REPLICAS[1], "python", "-c", program), "the bucket")
    rows = "select count(distinct client_addr) from pg_stat_activity where client_addr is not null"
    psql = ("psql", "--username", "dragoman", "--tuples-only", "--command", rows)
    clients = engine("exec", f"{PROJECT}_postgres_1", *psql).strip()
    assert clients == "3", clients
    password = project.secret("valkey-conf").split()[1]
    cli = ("valkey-cli", "--no-auth-warning", "-a", password, "client", "list")
    callers = {
        line.split("addr=")[1].partition(":")[0] for line in engine("exec", _valkey(), *cli).splitlines() if line
    }
    assert len(callers - {"127.0.0.1"}) == 3, callers
    assert engine("exec", REPLICAS[2], "python", "-c", OBJECT) == "kept\n"
    return "three clients at PostgreSQL and at the cache, an object in the bucket"


def _valkey() -> str:
    return f"{PROJECT}_valkey_1"


def prepare(engine: Engine) -> None:
    """Build our image, and have all others."""
    container.prepare(engine)
    for image in stand_ins.services(engine):
        sys.stderr.write(f"{image} is a stand-in\n")


def clean(engine: Engine) -> None:
    """Leave nothing, also where a start has broken off."""
    for kind, words in (("container", ("ps", "--all")), ("volume", ("volume", "ls")), ("network", ("network", "ls"))):
        named = "{{.Names}}" if kind == "container" else "{{.Name}}"
        found = engine(*words, "--format", named, "--filter", f"name={PROJECT}").split()
        for name in found:
            engine(kind, "rm", "--force", name)


CHECKS: Final = (one_command_starts_a_bot, many_serve_behind_haproxy)
