"""The machine: Python, the clock, open files, the data folder and its disk."""

import datetime as dt
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dragoman.service.doctor.finding import Finding, failed, ok, warning
from dragoman.service.doctor.subject import Subject
from dragoman.store.disk import Disk

LEAST_PYTHON: Final = (3, 11)
YEARS: Final = range(2025, 2100)
"""Years that a clock may show: outside, certificates and signatures are not good."""
FEW_FILES: Final = 1024
"""Open files with which a busy gateway may run out."""
LONGEST_SOCKET: Final = 107
"""Bytes of a socket's path, at most (unix(7))."""
NETWORKED: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre"}
    | {"ncpfs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)
"""File systems on which SQLite's locks do not hold, or cannot be trusted to."""


def python(_: Subject) -> Sequence[Finding]:
    """Check the version of Python."""
    return [judge_python(sys.version_info[:3])]


def judge_python(version: Sequence[int]) -> Finding:
    """Judge a version of Python."""
    seen, least = ".".join(map(str, version)), ".".join(map(str, LEAST_PYTHON))
    if tuple(version[:2]) < LEAST_PYTHON:
        return failed("python", f"{seen} is too old", f"install Python {least} or later, and Dragoman again with it")
    return ok("python", f"{seen} on {platform.system()} {platform.machine()}")


def clock(_: Subject) -> Sequence[Finding]:
    """Check the clock."""
    return [judge_clock(time.time())]


def judge_clock(now: float) -> Finding:
    """Judge the time that a clock shows, in epoch seconds."""
    shown = dt.datetime.fromtimestamp(min(max(now, 0.0), 253_402_300_799.0), dt.UTC)
    if shown.year not in YEARS:
        remedy = "set the clock, and keep it right by NTP (timedatectl set-ntp true)"
        return failed("clock", f"it shows the year {shown.year}", remedy)
    return ok("clock", shown.isoformat(timespec="seconds"))


def open_files(_: Subject) -> Sequence[Finding]:
    """Check how many files may be open."""
    return [judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])]


def judge_open_files(most: int) -> Finding:
    """Judge a limit of open files (-1: none)."""
    if 0 <= most < FEW_FILES:
        remedy = "raise it: `ulimit -n 4096` before the start, or LimitNOFILE=65536 in the systemd unit"
        return warning("open files", f"at most {most}, and each connection takes one", remedy)
    return ok("open files", "any number" if most < 0 else f"at most {most}")


def folder(subject: Subject) -> Sequence[Finding]:
    """Check that the data folder can be written, by whom, and who else may read it."""
    name, place = "data folder", subject.data
    there = existing(place)
    if not there.is_dir():
        return [failed(name, f"{there} is a file, not a folder", "move it away, or name another folder by --data")]
    if len(os.fsencode(place / "dragoman.sock")) > LONGEST_SOCKET:
        return [failed(name, f"{place} is too long for the control socket in it", "choose a shorter --data")]
    remedy = f"let the service's user write there (chown it), or name another folder by --data; {place} must be its own"
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        return [failed(name, f"{there} cannot be written: {error.strerror}", remedy)]
    if there != place:
        return [ok(name, f"{place} is not there yet, and can be made")]
    return [_owned(name, place)]


def _owned(name: str, place: Path) -> Finding:
    found, we = place.stat(), os.geteuid()
    if found.st_uid != we:
        remedy = f"run commands as that user (sudo -u '#{found.st_uid}'), or give it away: chown -R {we} {place}"
        return warning(name, f"{place} belongs to the user {found.st_uid}, and this is {we}", remedy)
    if found.st_mode & 0o007:
        return warning(name, f"{place} is open to every user of this machine", f"chmod o-rwx {place}")
    return ok(name, f"{place} can be written")


def existing(place: Path) -> Path:
    """Return a path, or the nearest one above it that is there."""
    return next(path for path in (place, *place.parents) if path.exists())


def disk(subject: Subject) -> Sequence[Finding]:
    """Check the free space as the service does: with less it takes nothing in."""
    place = existing(subject.data)
    if trouble := Disk(place).trouble():
        seen, _, _ = trouble.partition(":")
        return [
            failed("disk", seen, f"free some space on the disk of {place}, or move the data folder to a larger one")
        ]
    found = os.statvfs(place)
    return [ok("disk", f"{found.f_bavail * found.f_frsize / 1e9:,.1f} GB are free")]


def file_system(subject: Subject) -> Sequence[Finding]:
    """Check that the SQLite file is not on a network file system."""
    kind = kind_of(existing(subject.data).resolve(), _mounts())
    shared = subject.installation is not None and bool(subject.installation.settings.store)
    if kind in NETWORKED and not shared:
        remedy = 'put the data folder on a local disk, or the line on PostgreSQL (store = "postgresql://...")'
        return [warning("file system", f"{subject.data} is on {kind}, where SQLite's locks may not hold", remedy)]
    return [ok("file system", kind or "unknown")]


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux
        return ""


def kind_of(place: Path, mounts: str) -> str:
    """Return the kind of file system that holds a path, by the text of `/proc/self/mountinfo` (proc(5))."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace(r"\040", " ")
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind
