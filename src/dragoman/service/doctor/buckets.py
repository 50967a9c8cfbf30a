"""Object storage: the archive, the second copy and the third; can each be reached and read."""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dragoman import config
from dragoman.archive.bucket import Bucket
from dragoman.errors import ArchiveError, ConfigError
from dragoman.service import backup
from dragoman.service.doctor.finding import Finding, failed, ok
from dragoman.service.doctor.machine import existing
from dragoman.service.doctor.subject import Subject, refused
from dragoman.service.installation import Installation

REACH: Final = 3.0
"""Seconds that each bucket has to list its first object."""
GUIDE: Final = "docs/how-to/back-up.md"


async def buckets(installation: Installation, _: Subject) -> Sequence[Finding]:
    """Check every place in object storage that the settings name."""
    settings = installation.settings
    places = {"archive": settings.archive, "backup": settings.backup, "backup_copy": settings.backup_copy}
    named = {key: place for key, place in places.items() if place.url}
    if not named:
        return [ok("backup", f"none is set; {GUIDE} tells how")]
    if importlib.util.find_spec("obstore") is None:
        return []  # the check of the extras says so
    found = await asyncio.gather(*(_bucket(installation, key, place) for key, place in named.items()))
    return [*found, *_settings(installation), *_programs(installation)]


async def _bucket(installation: Installation, key: str, place: config.Bucket) -> Finding:
    scheme, slashes, rest = place.url.partition("://")
    if not slashes or scheme == "file":
        return _folder(key, installation.document.folder, rest if slashes else scheme)
    try:
        bucket = Bucket.open(place, installation.document.folder, installation.document.where(f"{key}.url"), key)
        async with asyncio.timeout(REACH):
            async for _ in bucket.list(""):
                break
    except ConfigError as error:
        return refused(key, error)
    except TimeoutError:
        remedy = f"check {key}.endpoint and {key}.region, and the network from here to there"
        return failed(key, f"{place.url} does not answer within {REACH:g} s", remedy)
    except ArchiveError as error:
        remedy = f"check {key}.url, {key}.endpoint and {key}.region, and that {key}.access_key may list and write there"
        return failed(key, str(error), remedy)
    return ok(key, f"{place.url} answers")


def _folder(key: str, base: Path, named: str) -> Finding:
    place = (base / Path(named).expanduser()).resolve()
    if not os.access(existing(place), os.W_OK | os.X_OK):
        remedy = f"let the service's user write there, or name another place in {key}.url"
        return failed(key, f"{place} cannot be written", remedy)
    return ok(key, f"{place}, a folder")


def _settings(installation: Installation) -> Sequence[Finding]:
    """Check what the service would refuse at its start."""
    try:
        backup.seal(installation)
    except ConfigError as error:
        return [refused("backup", error)]
    if installation.settings.backup_copy.url and not installation.settings.backup.url:
        return [failed("backup_copy", "it copies a backup, and there is none", f"set backup.url; {GUIDE} tells how")]
    return []


def _programs(installation: Installation) -> Sequence[Finding]:
    """Check the programs that copy a PostgreSQL."""
    if not (installation.settings.store and installation.settings.backup.url):
        return []
    absent = [name for name in backup.PROGRAMS if shutil.which(name) is None]
    if not absent:
        return []
    remedy = "apt install postgresql-client, or keep the copies by a replica that has them (--role engine)"
    return [failed("backup", f"{', '.join(absent)} not found, which copy a PostgreSQL", remedy)]
