"""Podman with a storage of its own, so that no stand-in is ever taken for the image whose name it has."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / "build" / "containers"
NEEDED: Final = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "aardvark-dns": "aardvark-dns"}
"""Programs, and Debian's packages that have them."""
STORAGE: Final = """[storage]
driver = "overlay"
graphroot = "{place}/storage"
runroot = "{place}/run"
"""
WITHOUT_SYSTEMD: Final = """[containers]
default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""Inside a container or a bare machine podman's own choices do not work."""


class Broken(Exception):
    """A command of the engine has failed."""


def missing() -> list[str]:
    """Return the packages that this needs and does not find."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/podman"
    return [package for program, package in NEEDED.items() if shutil.which(program, path=path) is None]


class Engine:
    """The engine of these tests."""

    def __init__(self) -> None:
        """Write its configuration."""
        PLACE.mkdir(parents=True, exist_ok=True)
        (PLACE / "storage.conf").write_text(STORAGE.format(place=PLACE), encoding="utf-8")
        (PLACE / "containers.conf").write_text(WITHOUT_SYSTEMD, encoding="utf-8")
        self.environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(PLACE / "storage.conf")}
        if not Path("/run/systemd/system").exists():
            self.environ["CONTAINERS_CONF"] = str(PLACE / "containers.conf")

    def __call__(self, *words: str, given: str = "", seconds: float = 300.0) -> str:
        """Run a command of podman; returns what it prints. Raises `Broken`."""
        return self.run(["podman", *words], given=given, seconds=seconds)

    def run(
        self, words: list[str], *, given: str = "", seconds: float = 300.0, environ: Mapping[str, str] | None = None
    ) -> str:
        """Run a program that uses the engine; returns what it prints. Raises `Broken`."""
        done = subprocess.run(  # noqa: S603 - our own words
            words,
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**self.environ, **(environ or {})},
            cwd=ROOT,
            check=False,
        )
        if done.returncode:
            raise Broken(f"{' '.join(words[:4])} ...: {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout

    def shown(self, command: str, *words: str) -> None:
        """Run a command of podman whose lines are of interest while it runs. Raises `Broken`."""
        done = subprocess.run(  # noqa: S603 - our own words
            ["podman", command, *words],  # noqa: S607 - found on the path
            env=self.environ,
            cwd=ROOT,
            stdout=sys.stderr,
            check=False,
        )
        if done.returncode:
            raise Broken(f"podman {command}: {done.returncode}")

    def has(self, image: str) -> bool:
        """Tell whether an image is in the storage."""
        return self._quietly("image", "exists", image)

    def pulled(self, image: str) -> bool:
        """Try to get an image from its registry; tells whether that worked."""
        return self._quietly("pull", "--quiet", image)

    def _quietly(self, *words: str) -> bool:
        try:
            self(*words)
        except (Broken, subprocess.TimeoutExpired):
            return False
        return True

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return all that the engine knows of an image or a container."""
        found: list[dict[str, Any]] = json.loads(self(kind, "inspect", name))
        return found[0]
