"""What can be said of compose.yaml without starting it: all it needs is there, and nothing is open that need not be."""

import importlib.util
import json
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml
from tests.deploy.conftest import DEPLOY, ROOT, need

from dragoman.service import installation

COMPOSE: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
DURATION: Final = re.compile(r"\d+s")


def module(name: str) -> ModuleType:
    """A script of deploy/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a folder of secrets, as `make secrets` makes it."""
    module("make_secrets").make(tmp_path / "secrets")
    return tmp_path / "secrets"


def volumes() -> Iterator[tuple[str, str, list[str]]]:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, *options = volume.split(":")
            yield source, target, options


def test_alone_and_many_are_the_two_ways_to_start_it() -> None:
    settings = dict(line.split("=") for line in (DEPLOY / ".env").read_text().splitlines() if "=" in line)
    profiles = {name: service["profiles"] for name, service in SERVICES.items()}

    assert {name for name, chosen in profiles.items() if chosen == ["one"]} == {"solo"}
    assert {name for name, chosen in profiles.items() if chosen == ["many"]} == set(SERVICES) - {"solo"}
    assert settings["COMPOSE_PROFILES"] == "one"
    assert "secrets" not in SERVICES["solo"]


def test_the_bot_is_the_image_of_this_release() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    for name in ("solo", "bot"):
        assert SERVICES[name]["image"] == f"localhost/dragoman:{version}"
        assert (DEPLOY / SERVICES[name]["build"]["context"] / SERVICES[name]["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_named_in_full_with_its_release(name: str) -> None:
    image = SERVICES[name]["image"]

    assert re.fullmatch(r"(?:docker\.io|localhost)/[\w./-]+:v?\d+\.\d+(?:\.\d+)?", image)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_in_limited_and_kept_running(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name != "postgres")
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["restart"] == ("no" if name == "bucket" else "unless-stopped")
    assert "privileged" not in service
    assert (name == "bucket") or service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_databases_cannot_be_reached_from_outside() -> None:
    inside = {name for name, service in SERVICES.items() if service["networks"] == ["back"]}

    assert inside == {"postgres", "valkey", "s3", "bucket"}
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert not any(SERVICES[name].get("ports") for name in inside)


def test_every_file_that_is_mounted_exists_and_cannot_be_written_to() -> None:
    for source, _, options in volumes():
        if source.startswith("."):
            assert (DEPLOY / source).is_file(), source
            assert options == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_every_secret_is_a_file_that_is_made(made: Path) -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    files = {name: Path(secret["file"]) for name, secret in COMPOSE["secrets"].items()}

    assert used == set(files)
    assert all(path.parent == Path("secrets") and (made / path.name).read_text().strip() for path in files.values())
    assert "*" in (DEPLOY / "secrets" / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_secrets_are_read_by_the_containers_but_by_nobody_else_on_the_host(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o444}


def test_secrets_that_are_there_stay_as_they_are(made: Path) -> None:
    (made / "chat-token").unlink()
    before = {path.name: path.read_text() for path in made.iterdir()}

    module("make_secrets").make(made)

    after = {path.name: path.read_text() for path in made.iterdir()}
    assert {**after, **before} == after
    assert len(after) == len(before) + 1


def test_the_secrets_of_two_servers_fit_together(made: Path) -> None:
    text = {path.name: path.read_text().strip() for path in made.iterdir()}
    identity = json.loads(text["s3-json"])["identities"][0]["credentials"][0]

    assert text["store"] == f"postgresql://dragoman:{text['postgres-password']}@postgres/dragoman"
    assert text["cache"] == f"redis://:{text['valkey-conf'].removeprefix('requirepass ')}@valkey:6379/0"
    assert identity == {"accessKey": text["s3-key"], "secretKey": text["s3-secret"]}
    assert len({*text.values()}) == len(text)


def test_the_replicas_can_be_configured_by_what_they_are_given(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: str(value) for name, value in SERVICES["bot"]["environment"].items()}
    environ = {name: value.replace("/run/secrets", str(made)) for name, value in given.items()}
    environ["DRAGOMAN_CONFIG"] = str(DEPLOY / "compose" / "dragoman.toml")
    monkeypatch.chdir(made)

    found = installation.load(data=str(made), configuration=None, environ=environ, overrides={}, create=False)
    accounts = installation.load_accounts(found, installation.load_plugins(found))

    assert found.settings.store.reveal().startswith("postgresql://")
    assert found.settings.cache.url.reveal().startswith("redis://")
    assert {account.name for account in accounts} >= {"webhook", "web"}


def test_the_archive_that_the_configuration_offers_can_be_switched_on(made: Path) -> None:
    text = (DEPLOY / "compose" / "dragoman.toml").read_text(encoding="utf-8").replace("/run/secrets", str(made))
    file = made / "dragoman.toml"
    file.write_text(re.sub(r"^# (?=\[archive|\w+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    environ = {"DRAGOMAN_ACCOUNTS__WEBHOOK__TOKEN": "t"}

    found = installation.load(data=str(made), configuration=str(file), environ=environ, overrides={}, create=False)

    assert found.settings.archive.url == "s3://dragoman/conversations"
    assert found.settings.archive.secret_key.reveal() == (made / "s3-secret").read_text().strip()


def test_the_bot_has_time_to_end_in_order() -> None:
    assert DURATION.fullmatch(SERVICES["bot"]["stop_grace_period"])
    assert int(SERVICES["bot"]["stop_grace_period"][:-1]) > 25 + float(
        SERVICES["bot"]["environment"]["DRAGOMAN_LINGER"]
    )


def test_haproxy_understands_its_configuration() -> None:
    haproxy = need("haproxy", "haproxy")
    file = DEPLOY / "compose" / "haproxy.cfg"

    done = subprocess.run([haproxy, "-c", "-f", str(file)], capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stderr


def test_prometheus_understands_its_configuration(made: Path, tmp_path: Path) -> None:
    promtool = need("promtool", "prometheus")
    for source in [*(DEPLOY / "prometheus").glob("*.rules.yaml"), DEPLOY / "compose" / "prometheus.yml"]:
        shutil.copy(source, tmp_path)
    file = tmp_path / "prometheus.yml"
    file.write_text(file.read_text().replace("/run/secrets", str(made)), encoding="utf-8")

    done = subprocess.run([promtool, "check", "config", str(file)], capture_output=True, text=True, check=False)  # noqa: S603

    assert done.returncode == 0, done.stderr


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    folder = DEPLOY / "compose" / "grafana"
    sources = yaml.safe_load((folder / "datasources.yaml").read_text(encoding="utf-8"))["datasources"]
    providers = yaml.safe_load((folder / "dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    mounted = {target: source for source, target, _ in volumes()}
    place = providers[0]["options"]["path"]

    assert [source["url"] for source in sources] == ["http://prometheus:9090"]
    assert sources[0]["isDefault"]
    assert mounted[f"{place}/dragoman.json"] == "./grafana/dragoman.json"
