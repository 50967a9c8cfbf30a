"""Every prerequisite that can fail is made to fail, and the doctor says so, with what mends it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from dragoman.service import doctor
from dragoman.service.doctor import machine, reach, stores
from dragoman.service.doctor.finding import Finding, ok
from dragoman.store.sqlite import SqliteStore
from dragoman.store.sqlite.look import look
from dragoman.store.sqlite.opening import FileLock
from dragoman.testing.process import configuration, free_port
from dragoman.testing.redis_server import RedisServer, installed
from dragoman.testing.running import running
from dragoman.testing.simulator import serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.testing.simulators.telegram import TelegramSimulator

if TYPE_CHECKING:
    from tests.service.conftest import Patient


async def test_of_a_sound_installation_nothing_has_failed(fresh: "Patient", first: "Callable[[Patient], None]") -> None:
    first(fresh)

    assert {finding.state for finding in await fresh.findings()} == {"ok"}


async def test_before_the_first_start_nothing_has_failed(fresh: "Patient") -> None:
    fresh.environ["DRAGOMAN_PORT"] = str(free_port())

    assert await fresh.failed() == {}
    assert "`dragoman run`" in (await fresh.examine("configuration")).remedy
    assert not fresh.folder.exists()


async def test_every_finding_is_one_line(patient: "Patient") -> None:
    assert [finding for finding in await patient.findings() if "\n" in str(finding)] == []


# The machine.


def test_python_is_as_new_as_the_package_asks_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["requires-python"] == ">=" + ".".join(map(str, machine.LEAST_PYTHON))
    assert machine.judge_python((3, 10, 4)).state == "failed"
    assert machine.judge_python((3, 11, 0)).state == "ok"


@pytest.mark.parametrize(
    ("now", "state"), [(0.0, "failed"), (1_790_000_000.0, "ok"), (4_102_444_800.0, "failed"), (1e15, "failed")]
)
def test_a_clock_far_off_is_told(now: float, state: str) -> None:
    assert machine.judge_clock(now).state == state


@pytest.mark.parametrize(("most", "state"), [(256, "warning"), (1024, "ok"), (-1, "ok")])
def test_a_low_limit_of_open_files_is_told(most: int, state: str) -> None:
    assert machine.judge_open_files(most).state == state


async def test_a_file_in_the_place_of_the_folder_is_told(fresh: "Patient") -> None:
    fresh.folder.write_text("", encoding="utf-8")
    fresh.environ["DRAGOMAN_PORT"] = str(free_port())

    assert "is a file, not a folder" in (await fresh.failed())["data folder"]


async def test_a_folder_whose_name_is_too_long_is_told(tmp_path: Path) -> None:
    findings = await doctor.examine(str(tmp_path / ("x" * 100)), None, {"DRAGOMAN_PORT": str(free_port())})

    assert "choose a shorter --data" in [finding.remedy for finding in findings if finding.state == "failed"]


async def test_a_folder_that_cannot_be_written_is_told() -> None:
    findings = await doctor.examine("/proc/self/dragoman", None, {"DRAGOMAN_PORT": str(free_port())})

    (found,) = [finding for finding in findings if finding.name == "data folder"]
    assert (found.state, "cannot be written" in found.seen) == ("failed", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
async def test_a_folder_of_another_user_is_told(patient: "Patient") -> None:
    os.chown(patient.folder, 12345, -1)

    found = await patient.examine("data folder")
    assert (found.state, "12345" in found.seen, "sudo -u" in found.remedy) == ("warning", True, True)


async def test_a_folder_that_everybody_may_read_is_told(patient: "Patient") -> None:
    patient.folder.chmod(0o755)

    assert (await patient.examine("data folder")).remedy == f"chmod o-rwx {patient.folder}"


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:35 / /srv rw,relatime shared:20 - nfs4 files:/srv rw
41 40 0:36 / /srv/my\\040disk rw,relatime - ext4 /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [("/var/lib/dragoman", "ext4"), ("/srv/bot", "nfs4"), ("/srvx", "ext4"), ("/srv/my disk/bot", "ext4")],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(place: str, kind: str) -> None:
    assert machine.kind_of(Path(place), MOUNTS) == kind


def test_a_network_file_system_is_known_as_one() -> None:
    assert {"nfs4", "cifs", "fuse.sshfs"} <= machine.NETWORKED


# The configuration.


async def test_a_file_that_is_not_toml_is_told_with_its_line(patient: "Patient") -> None:
    patient.configuration.write_text("port = \nhost = 1\n", encoding="utf-8")

    failed = await patient.failed()
    assert "line 1" in failed["configuration"]
    assert list(failed) == ["configuration"]


async def test_a_wrong_setting_is_told_with_file_key_and_reason(patient: "Patient") -> None:
    patient.configure("prot = 1\n")

    found = await patient.examine("configuration")
    assert found.seen == f"{patient.configuration}: prot: is not a setting"
    assert found.remedy == f"correct prot in {patient.configuration}: did you mean port?"


async def test_every_wrong_account_and_plugin_is_told_at_once(patient: "Patient") -> None:
    patient.configure(
        'plugins = ["rules", "nosuch"]\n'
        '[accounts.a]\nplatform = "slock"\n'
        '[accounts.b]\nplatform = "slack"\nbot_token = "xoxb-1"\nsigning_secret = "env:ABSENT"\n'
        '[accounts.c]\nplatform = "slack"\nbot_token = "xoxb-1"\n'
        "[plugin.rules]\nfile = 1\n"
    )

    failed = await patient.failed()
    assert {"account a", "account b", "account c", "plugin nosuch", "plugin rules"} <= set(failed)
    assert "ABSENT is not set" in failed["account b"]


async def test_a_task_for_an_account_that_is_not_there_is_told(patient: "Patient") -> None:
    patient.configure('[tasks.t]\nevery = "0 9 * * *"\nzone = "UTC"\nto = ["absent/C1"]\nsay = "x"\n')

    assert "absent" in (await patient.failed())["tasks"]


# The file.


async def filled(patient: "Patient") -> None:
    store = await SqliteStore.open(patient.database, time.time)
    for number in range(200):
        await store.keep(f"name{number}", "value" * 200)
    await store.close()


def change(patient: "Patient", statement: str) -> None:
    connection = apsw.Connection(str(patient.database))
    connection.execute(statement)
    connection.close()


async def test_a_sound_file_is_read(patient: "Patient") -> None:
    await filled(patient)

    assert (await patient.examine("store")).state == "ok"


@pytest.mark.parametrize("at", [0, 4096])
async def test_a_damaged_file_is_told(patient: "Patient", at: int) -> None:
    await filled(patient)
    with patient.database.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 4096 * 8)

    found = await patient.examine("store")
    assert (found.state, "backup" in found.remedy) == ("failed", True)


async def test_a_file_that_is_no_database_is_told(patient: "Patient") -> None:
    patient.database.write_bytes(b"no database at all" * 400)

    assert "is damaged" in (await patient.failed())["store"]


async def test_a_file_of_a_newer_release_is_told_and_is_no_failure(patient: "Patient") -> None:
    await filled(patient)
    change(patient, "INSERT INTO migration VALUES (9999, '9999_later.sql', 'x')")

    found = await patient.examine("store")
    assert (found.state, "schema 9999" in found.seen) == ("warning", True)


async def test_a_file_that_this_release_cannot_have_is_told(patient: "Patient") -> None:
    await filled(patient)
    change(patient, "INSERT INTO migration VALUES (9999, '9999_less_from_9998.sql', 'x')")

    assert (await patient.examine("store")).remedy == "run the release that wrote it last"


async def test_a_file_of_an_older_release_is_told_before_it_is_changed(patient: "Patient") -> None:
    await filled(patient)
    change(patient, "DELETE FROM migration WHERE number = (SELECT max(number) FROM migration)")

    found = await patient.examine("store")
    assert (found.state, "back up" in found.remedy) == ("warning", True)


async def test_a_file_that_takes_too_long_is_not_read_to_its_end(
    patient: "Patient", monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(patient)
    monkeypatch.setattr("dragoman.store.sqlite.look.STEPS", 1)
    seen = look(patient.database, -1.0)

    assert not seen.whole
    assert [finding.state for finding in stores.judge_file(patient.database, seen)] == ["ok", "warning"]


async def test_a_process_that_has_the_file_and_does_not_answer_is_named(patient: "Patient") -> None:
    await filled(patient)
    lock = FileLock(patient.database)
    try:
        found = await patient.examine("store")
    finally:
        lock.release()

    assert (found.state, f"kill {os.getpid()}" in found.remedy) == ("failed", True)


async def test_nothing_is_changed_by_looking(patient: "Patient") -> None:
    await filled(patient)
    before = {path.name: path.read_bytes() for path in patient.folder.iterdir()}

    await patient.findings()

    assert {path.name: path.read_bytes() for path in patient.folder.iterdir()} == before


# Ports and addresses.


async def test_a_port_of_another_program_is_told(patient: "Patient") -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        patient.environ["DRAGOMAN_PORT"] = str(other.getsockname()[1])
        found = await patient.examine("port")

    assert (found.state, "ss -ltnp" in found.remedy) == ("failed", True)


async def test_an_address_of_another_machine_is_told(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_HOST"] = "192.0.2.1"

    assert "does not have the address" in (await patient.failed())["port"]


async def test_a_running_service_is_asked_itself(tmp_path: Path) -> None:
    simulator = TelegramSimulator(secret="")
    async with serve(simulator) as url:
        text = configuration({"tg": {"platform": "telegram", **simulator.settings(url)}})
        async with running(tmp_path, text) as service:
            found = {finding.name: finding for finding in await doctor.examine(str(tmp_path), None, {})}

    assert {finding.state for finding in found.values()} <= {"ok", "warning"}
    assert service.url.removeprefix("http://") in found["port"].seen
    assert found["account tg"].seen == "telegram, poll, the bot is dragoman_bot"
    assert "is in use" in found["store"].seen


async def test_a_socket_that_nobody_listens_on_is_no_service(patient: "Patient") -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(patient.folder / "dragoman.sock"))

    assert "none runs" in (await patient.examine("service")).seen


async def test_a_service_that_hangs_is_told_in_time(patient: "Patient", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.service.doctor.subject.ANSWER", 0.2)
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(patient.folder / "dragoman.sock"))
        stuck.listen()

        assert "did not answer" in (await patient.failed())["service"]


async def test_a_platform_that_calls_us_wants_https(patient: "Patient") -> None:
    simulator = SlackSimulator()
    async with serve(simulator) as url:
        patient.configure(configuration({"sl": {"platform": "slack", **simulator.settings(url)}}))
        without = await patient.examine("public address")
        patient.environ["DRAGOMAN_PUBLIC_URL"] = "http://bot.example.org"
        plain = await patient.examine("public address")
        patient.environ["DRAGOMAN_PUBLIC_URL"] = "https://bot.example.org"
        secure = await patient.examine("public address")

    assert [finding.state for finding in (without, plain, secure)] == ["warning", "failed", "ok"]


def test_an_address_that_is_none_is_told() -> None:
    assert reach.judge_public("bot.example.org", []).state == "failed"


async def test_what_is_reached_from_outside_wants_tokens(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_HOST"] = "0.0.0.0"
    findings = {finding.name: finding for finding in await patient.findings()}

    assert (findings["chat token"].state, findings["metrics token"].state) == ("warning", "warning")
    patient.environ |= {"DRAGOMAN_CHAT_TOKEN": "x" * 32, "DRAGOMAN_METRICS_TOKEN": "y" * 32}
    assert (await patient.examine("tokens")).seen == "set"


async def test_replicas_want_one_key(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_STORE"] = f"postgresql://127.0.0.1:{free_port()}/x"

    assert "openssl rand" in (await patient.examine("encryption key")).remedy


# Accounts.


async def test_a_wrong_token_is_told_with_where_to_get_the_right_one(patient: "Patient") -> None:
    simulator = TelegramSimulator(secret="")
    async with serve(simulator) as url:
        settings = {**simulator.settings(url), "bot_token": "7001:wrong_token_of_35_characters_XXXXX"}
        patient.configure(configuration({"tg": {"platform": "telegram", **settings}}))
        found = await patient.examine("account tg")

    assert found.seen == "telegram, poll: bot_token is not valid"
    assert found.remedy == "take the current one from @BotFather"


async def test_a_hook_that_is_not_set_is_told(patient: "Patient") -> None:
    simulator = TelegramSimulator()
    async with serve(simulator) as url:
        patient.configure(configuration({"tg": {"platform": "telegram", **simulator.settings(url)}}))
        found = await patient.examine("account tg")

    assert (found.state, "setWebhook" in found.remedy) == ("failed", True)


async def test_platforms_that_hang_cost_one_deadline_together(
    patient: "Patient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dragoman.service.doctor.accounts.REACH", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        account = {"platform": "telegram", "api_base": base, "bot_token": "7001:x"}
        patient.configure(configuration({f"tg{number}": account for number in range(6)}))
        began = time.monotonic()
        failed = await patient.failed()

    assert time.monotonic() - began < 3
    assert [name for name, seen in failed.items() if "no answer within" in seen] == [f"account tg{n}" for n in range(6)]


async def test_a_check_that_breaks_is_a_finding_without_a_trace() -> None:
    async def broken() -> list[Finding]:
        raise ValueError("a secret")

    (found,) = await doctor.bounded("x", broken(), 1.0)
    assert (found.state, "ValueError at test_doctor.py" in found.seen) == ("failed", True)
    assert "a secret" not in str(found)


async def test_a_check_that_hangs_is_a_finding() -> None:
    async def hanging() -> list[Finding]:
        await asyncio.Event().wait()
        return [ok("x", "never")]

    (found,) = await doctor.bounded("x", hanging(), 0.05)
    assert (found.state, "no answer within" in found.seen) == ("failed", True)


# The cache.


async def test_a_cache_that_is_away_is_a_warning(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_CACHE__URL"] = f"redis://:a-password@127.0.0.1:{free_port()}/0"

    found = await patient.examine("cache")
    assert (found.state, "a-password" in str(found)) == ("warning", False)


async def test_a_cache_that_answers_is_told(patient: "Patient") -> None:
    if not installed():
        pytest.skip("no redis-server here (Debian: apt install redis-server)")
    server = RedisServer()
    await server.start()
    patient.environ["DRAGOMAN_CACHE__URL"] = server.url
    try:
        assert (await patient.examine("cache")).state == "ok"
    finally:
        await server.kill()


# Object storage.


async def test_a_bucket_that_is_away_is_told_in_time_and_with_no_secret(patient: "Patient") -> None:
    patient.configure(
        f'[backup]\nurl = "s3://copies/x"\nendpoint = "http://127.0.0.1:{free_port()}"\nregion = "x"\n'
        'access_key = "a-key"\nsecret_key = "a-secret-of-the-bucket"\n'
    )
    began = time.monotonic()
    found = await patient.examine("backup")

    assert (found.state, "backup.endpoint" in found.remedy) == ("failed", True)
    assert "a-secret-of-the-bucket" not in str(found)
    assert time.monotonic() - began < 6


async def test_a_folder_for_copies_is_looked_at_and_not_made(patient: "Patient") -> None:
    patient.configure('[backup]\nurl = "copies"\n')

    assert (await patient.examine("backup")).state == "ok"
    assert not (patient.folder / "copies").exists()


async def test_a_copy_of_no_backup_and_a_key_that_is_too_short_are_told(patient: "Patient") -> None:
    patient.configure('[backup]\nurl = "copies"\nkey = "short"\n')
    short = await patient.failed()
    patient.configure('[backup_copy]\nurl = "copies"\n')
    alone = await patient.failed()

    assert "key" in short["backup"]
    assert "there is none" in alone["backup_copy"]


# The command.

BLOCKED = """
import sys
sys.modules["asyncpg"] = sys.modules["redis"] = sys.modules["obstore"] = None
sys.argv = ["dragoman", "doctor", *sys.argv[1:]]
from dragoman.cli import main
main()
"""


HURRIED = """
import sys
from dragoman.service.doctor import subject
subject.READING = 0.5
sys.argv = ["dragoman", "doctor", *sys.argv[1:]]
from dragoman.cli import main
main()
"""


def command(patient: "Patient", environ: Mapping[str, str], *words: str) -> tuple[int, str, str]:
    place = ("--data", str(patient.folder))
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, *words, *place],
        env={**environ, **patient.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_ends_with_0_when_nothing_has_failed(patient: "Patient", environ: Mapping[str, str]) -> None:
    code, out, complaints = command(patient, environ, "-m", "dragoman", "doctor")

    assert (code, complaints) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} <= {"ok", "warning"}


def test_the_command_tells_programs_what_has_failed(patient: "Patient", environ: Mapping[str, str]) -> None:
    secret = "a-secret-that-nobody-may-see"
    patient.environ["DRAGOMAN_STORE"] = f"postgresql://bot:{secret}@127.0.0.1:{free_port()}/x"

    code, out, complaints = command(patient, environ, "-m", "dragoman", "doctor", "--json")

    report: Any = json.loads(out)
    assert (code, report["ok"], complaints, secret in out) == (1, False, "", False)
    assert all(set(check) == {"name", "state", "seen", "remedy"} for check in report["checks"])
    assert [check["name"] for check in report["checks"] if check["state"] == "failed"] == ["store"]


def test_a_missing_extra_is_told_with_its_install_line(patient: "Patient", environ: Mapping[str, str]) -> None:
    patient.environ |= {"DRAGOMAN_STORE": "postgresql://x@127.0.0.1/x", "DRAGOMAN_CACHE__URL": "redis://127.0.0.1/0"}
    patient.environ["DRAGOMAN_BACKUP__URL"] = "copies"

    code, out, _ = command(patient, environ, "-c", BLOCKED)

    assert code == 1
    assert "asyncpg is not installed. Remedy: pip install 'dragoman[postgres]'" in out
    assert "redis is not installed. Remedy: pip install 'dragoman[cache]'" in out
    assert "obstore is not installed. Remedy: pip install 'dragoman[archive]'" in out


def test_a_file_that_hangs_holds_nothing_up(patient: "Patient", environ: Mapping[str, str]) -> None:
    os.mkfifo(patient.folder / "pipe")
    patient.configure('[accounts.webhook]\nplatform = "webhook"\ntoken = "file:pipe"\n')

    code, out, complaints = command(patient, environ, "-c", HURRIED)

    assert (code, complaints) == (1, "")
    assert "configuration: it could not be read within 0.5 s. Remedy: a file that it names hangs" in out
    assert "ok       python: 3." in out


async def test_a_key_that_can_be_guessed_is_told(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_ENCRYPTION_KEY"] = "short"

    assert (await patient.examine("encryption key")).state == "failed"
