"""Releases as source trees: this one, the one before it (from the history), and the next one as it may be."""

import dataclasses
import io
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Final

from dragoman.store.named import numbered

ROOT: Final = Path(__file__).parents[2]
PREVIOUS: Final = Path(__file__).parent / "previous.toml"

NEXT: Final = {
    "sqlite": """
CREATE TABLE later (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
ALTER TABLE receipt ADD COLUMN later TEXT NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN later TEXT NOT NULL DEFAULT '';
ALTER TABLE conversation ADD COLUMN later TEXT;
ALTER TABLE outbox ADD COLUMN later INTEGER NOT NULL DEFAULT 0;
ALTER TABLE timer ADD COLUMN later TEXT;
CREATE INDEX inbox_later ON inbox (later) WHERE later <> '';
""",
    "postgres": """
CREATE TABLE later (name text PRIMARY KEY, value text NOT NULL);
ALTER TABLE receipt ADD COLUMN later text NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN later text NOT NULL DEFAULT '';
ALTER TABLE conversation ADD COLUMN later text;
ALTER TABLE outbox ADD COLUMN later integer NOT NULL DEFAULT 0;
ALTER TABLE timer ADD COLUMN later text;
CREATE INDEX inbox_later ON inbox (later) WHERE later <> '';
""",
}
"""What the next release may add to every table of the line."""


class NoHistory(Exception):
    """The history with the release before is not here: a source archive, or a shallow clone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A release that can be run: the folder of its source."""

    name: str
    source: Path

    def schema(self, store: str) -> int:
        """Return its newest migration."""
        folder = self.source / "dragoman/store/migrations" / store
        return max(int(path.name[:4]) for path in folder.glob("*.sql"))


def ours() -> Release:
    """Return the release of this tree."""
    return Release(name="this one", source=ROOT / "src")


def before(store: str, folder: Path) -> Release:
    """Unpack the release before this one into a folder; raises `NoHistory` where it is not at hand."""
    commit = _tag() or _commit(tomllib.loads(PREVIOUS.read_text(encoding="utf-8"))[store])
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "src"))) as archive:
        archive.extractall(folder, filter="data")
    return Release(name=_git("describe", "--tags", "--always", commit).decode().strip(), source=folder / "src")


def after(store: str, folder: Path) -> Release:
    """Make the next release: this one, and a migration more that adds to every table."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    number = max(numbered(store)) + 1
    place = folder / "src/dragoman/store/migrations" / store / f"{number:04}_later.sql"
    place.write_text(NEXT[store], encoding="utf-8")
    return Release(name="the next one", source=folder / "src")


def _tag() -> str:
    """Name the newest tag before this commit; empty when there is none."""
    try:
        return _git("describe", "--tags", "--abbrev=0", "HEAD^").decode().strip()
    except NoHistory:
        return ""


def _commit(named: str) -> str:
    """Find a commit by its name or the first line of its message."""
    if len(named) == 40:
        return named
    lines = _git("log", "--format=%H %s").decode().splitlines()
    found = next((line for line in lines if line.partition(" ")[2] == named), "")
    if not found:
        raise NoHistory(f"no commit says: {named}")
    return found.partition(" ")[0]


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True)  # noqa: S603, S607 - our own
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise NoHistory(f"git {words[0]}: {said.decode(errors='replace').strip() or error}") from error
    return done.stdout
