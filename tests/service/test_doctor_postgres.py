"""What can be wrong with a PostgreSQL is made so on real servers, and the doctor says it, with what mends it."""

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests.faults.cluster import cluster, template

from dragoman.service.doctor import stores
from dragoman.service.doctor.finding import Finding
from dragoman.store.postgres import PostgresStore
from dragoman.store.postgres.look import look
from dragoman.testing.process import free_port

if TYPE_CHECKING:
    from tests.service.conftest import Patient

TABLES = "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch, patient: "Patient") -> None:
    """Others use this server and these processors too: have time, and need few connections."""
    monkeypatch.setattr(stores, "REACH", 20.0)
    patient.environ["DRAGOMAN_STORE_CONNECTIONS"] = "2"


def as_user(url: str, name: str, password: str = "") -> str:
    """Name another user in an address."""
    place = urlsplit(url)
    return place._replace(netloc=f"{name}:{password}@{place.hostname}:{place.port or 5432}").geturl()


@contextlib.asynccontextmanager
async def user(database: str, *changes: str) -> AsyncIterator[str]:
    """Make a user of few rights while the context is open; yields the address with it."""
    role, schema = f"u{secrets.token_hex(6)}", database.rpartition("=")[2]
    hand = await asyncpg.connect(database)
    await hand.execute(f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}")
    for change in changes:
        await hand.execute(change.format(role=role, schema=schema))
    try:
        yield as_user(database, role)
    finally:
        await hand.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await hand.close()


async def filled(database: str) -> None:
    await (await PostgresStore.open(database, time.time)).close()


async def with_room(patient: "Patient") -> Finding:
    """Examine the store when the server, which other tests use too, has room for one more."""
    async with asyncio.timeout(60):
        while "connections" in (found := await patient.examine("store")).seen and found.state == "failed":
            await asyncio.sleep(0.5)
    return found


async def test_a_sound_database_is_told(patient: "Patient", database: str) -> None:
    patient.environ["DRAGOMAN_STORE"] = database
    empty = await with_room(patient)
    await filled(database)
    full = await with_room(patient)

    assert (empty.state, empty.seen.rpartition(", ")[2]) == ("ok", "still empty")
    assert (full.state, full.seen.rpartition(", ")[2][:7]) == ("ok", "schema ")


async def test_a_server_that_is_away_is_told(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_STORE"] = f"postgresql://bot:a-password@127.0.0.1:{free_port()}/x"

    found = await patient.examine("store")
    assert (found.state, "start the server" in found.remedy, "a-password" in str(found)) == ("failed", True, False)


async def test_a_database_that_is_not_there_is_told(patient: "Patient", database: str) -> None:
    patient.environ["DRAGOMAN_STORE"] = urlsplit(database)._replace(path="/absent").geturl()

    assert "createdb" in (await patient.examine("store")).remedy


async def test_an_address_of_another_kind_is_told(patient: "Patient") -> None:
    patient.environ["DRAGOMAN_STORE"] = "mysql://127.0.0.1/x"

    assert "must begin with postgresql://" in (await patient.failed())["store"]


async def test_a_schema_that_is_not_there_is_told(patient: "Patient", database: str) -> None:
    patient.environ["DRAGOMAN_STORE"] = database + "absent"

    assert "CREATE SCHEMA" in (await patient.examine("store")).remedy


async def test_a_user_who_may_make_no_tables_is_told(patient: "Patient", database: str) -> None:
    async with user(database) as url:
        patient.environ["DRAGOMAN_STORE"] = url

        assert "GRANT CREATE" in (await patient.examine("store")).remedy


async def test_a_user_who_may_not_change_the_tables_is_told(patient: "Patient", database: str) -> None:
    await filled(database)
    async with user(database, "GRANT SELECT ON migration, replica TO {role}") as url:
        patient.environ["DRAGOMAN_STORE"] = url
        found = await patient.examine("store")

    assert (found.state, "may not read and change" in found.seen) == ("failed", True)


async def test_a_database_that_is_read_only_is_told(patient: "Patient", database: str) -> None:
    async with user(database, "ALTER ROLE {role} SET default_transaction_read_only = on") as url:
        patient.environ["DRAGOMAN_STORE"] = url

        assert any("it is read-only" in finding.seen for finding in await patient.findings())


async def test_a_server_without_room_is_told(patient: "Patient", database: str) -> None:
    async with user(database, "ALTER ROLE {role} CONNECTION LIMIT 0") as url:
        patient.environ["DRAGOMAN_STORE"] = url

        assert "max_connections" in (await patient.examine("store")).remedy


async def test_few_connections_that_are_left_are_told(database: str) -> None:
    found = await look(database, time.time, 3.0)

    (finding,) = stores.judge_database(found, found.most - found.used + 1)
    assert (finding.state, "store_connections" in finding.remedy) == ("failed", True)


async def test_a_clock_that_differs_is_told(database: str) -> None:
    found = await look(database, lambda: time.time() - 3600, 3.0)

    (finding,) = stores.judge_database(found, 4)
    assert (finding.state, "3,600 s ahead of ours" in finding.seen) == ("warning", True)


async def test_a_newer_schema_is_no_failure_and_one_that_cannot_be_ours_is(patient: "Patient", database: str) -> None:
    await filled(database)
    hand = await asyncpg.connect(database)
    patient.environ["DRAGOMAN_STORE"] = database

    await hand.execute("INSERT INTO migration VALUES (9998, '9998_later.sql', 'x')")
    newer = await patient.examine("store")
    await hand.execute("INSERT INTO migration VALUES (9999, '9999_less_from_9998.sql', 'x')")
    strange = await patient.examine("store")
    await hand.close()

    assert [newer.state, strange.state] == ["warning", "failed"]


async def test_a_copy_that_did_not_end_is_told(patient: "Patient", database: str) -> None:
    hand = await asyncpg.connect(database)
    await hand.execute("CREATE TABLE copying (name text)")
    await hand.close()
    patient.environ["DRAGOMAN_STORE"] = database

    found = await patient.examine("store")
    assert (found.state, "dragoman store copy" in found.remedy) == ("failed", True)


async def test_a_wrong_password_is_told(patient: "Patient") -> None:
    async with template() as source, cluster(source) as server:
        hand = await asyncpg.connect(server.url)
        await hand.execute("SET password_encryption = 'scram-sha-256'; CREATE ROLE bot LOGIN PASSWORD 'right'")
        await hand.close()
        await server.admit("host all bot 127.0.0.1/32 scram-sha-256")
        seen = []
        for password in ("wrong-one", "right"):
            patient.environ["DRAGOMAN_STORE"] = as_user(server.url, "bot", password)
            seen.append(await patient.examine("store"))

    assert ("password" in seen[0].remedy, "wrong-one" in str(seen[0])) == (True, False)
    assert "authentication" not in seen[1].seen


@pytest.mark.parametrize(("mode", "passes"), [("transaction", True), ("session", False)])
async def test_a_pooler_that_cannot_be_used_is_told(
    patient: "Patient", database: str, tmp_path: Path, mode: str, passes: bool
) -> None:
    async with pooler(database, tmp_path, mode, passes=passes) as url:
        patient.environ["DRAGOMAN_STORE"] = url
        found = await patient.examine("store")

    assert (found.state, "pool_mode = session" in found.remedy) == ("failed", True)


async def test_a_pool_of_sessions_is_good(patient: "Patient", database: str, tmp_path: Path) -> None:
    async with pooler(database, tmp_path, "session", passes=True) as url:
        patient.environ["DRAGOMAN_STORE"] = url

        assert (await patient.examine("store")).state == "ok"


PASSED = (
    "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,"
    "tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count,jit,search_path"
)
"""What a session of ours asks for at its beginning."""


@contextlib.asynccontextmanager
async def pooler(database: str, folder: Path, mode: str, *, passes: bool) -> AsyncIterator[str]:
    """Run PgBouncer in front of a database; `passes`: it lets a session's settings pass, though unheeded."""
    if (program := shutil.which("pgbouncer")) is None:
        pytest.skip("no pgbouncer here (Debian: apt install pgbouncer)")
    place, port, file = urlsplit(database), free_port(), folder / "pgbouncer.ini"
    ignored = f"ignore_startup_parameters = {PASSED}\n" if passes else ""
    file.write_text(
        f"[databases]\nx = host={place.hostname} port={place.port or 5432} "
        f"dbname={place.path[1:]} user={place.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = {mode}\n"
        f"unix_socket_dir =\n{ignored}",
        encoding="utf-8",
    )
    for above in (folder, *folder.parents[:3]):
        above.chmod(0o755)  # it does not run as root, and reads its file as another user
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program, "-u", "nobody", str(file), stdout=quiet, stderr=quiet, stdin=quiet
    )
    try:
        await answering(port)
        yield f"postgresql://x@127.0.0.1:{port}/x"
    finally:
        process.terminate()
        await process.wait()


async def answering(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
