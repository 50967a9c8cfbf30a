"""SQL is source: the statements of a store's `.sql` files, by name. `-- name: x` starts statement x."""

import dataclasses
import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

from dragoman import crypto
from dragoman.errors import StoreForeign

CONTRACTS: Final = re.compile(r"_from_(\d{4})\.sql$")
"""A migration that takes something away names the schema whose programs do without it: `0009_no_raw_from_0007.sql`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Migration:
    """One shipped migration, as it is run and as it is written down."""

    number: int
    name: str
    digest: str
    sql: str


def named(package: str) -> dict[str, str]:
    """Read the statements of a package."""
    files = [file for file in resources.files(package).iterdir() if file.name.endswith(".sql")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    blocks = (block.partition("\n") for text in texts for block in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in blocks}


def numbered(database: str) -> dict[int, tuple[str, str]]:
    """Read a database's shipped migrations: number to file name and text."""
    folder = resources.files("dragoman.store") / "migrations" / database
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {int(file.name[:4]): (file.name, file.read_text(encoding="utf-8")) for file in files}


def missing(database: str, done: Mapping[int, tuple[str, str]], where: str) -> list[Migration]:
    """Return the migrations that a schema still needs, in order; `done` is its own list: number to name and digest.

    A schema that is newer than we are is used as it is: migrations only add, and the release before runs on them. One
    that names a newer program as its least is refused, as is one with another text: raises `StoreForeign`.
    """
    shipped = [
        Migration(number=number, name=name, digest=crypto.sha256_hex(sql.encode()), sql=sql)
        for number, (name, sql) in sorted(numbered(database).items())
    ]
    newest = shipped[-1].number
    for number, (name, _) in sorted(done.items()):
        least = CONTRACTS.search(name)
        if number > newest and least and int(least[1]) > newest:
            raise StoreForeign(f"{where} was changed by a newer release ({name}) for good; upgrade dragoman")
    for migration in shipped:
        if done.get(migration.number, ("", migration.digest))[1] != migration.digest:
            raise StoreForeign(f"{where}: migration {migration.name} is not the one that this release ships")
    return [migration for migration in shipped if migration.number not in done]
