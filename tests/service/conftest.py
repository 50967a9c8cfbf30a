"""An installation in a folder of its own, and the doctor who looks at it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dragoman.service import doctor, installation
from dragoman.service.doctor.finding import Finding
from dragoman.testing.process import free_port


class Patient:
    """An installation; `examine` gives what the doctor finds, by name (several under one name one after the other)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "dragoman.db"
        self.configuration = folder / "dragoman.toml"
        self.environ: dict[str, str] = {}

    def configure(self, text: str = "") -> None:
        """Write a configuration with a free port."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self.configuration.write_text(f"port = {free_port()}\n{text}", encoding="utf-8")

    async def findings(self) -> list[Finding]:
        return await doctor.examine(str(self.folder), None, self.environ)

    async def examine(self, name: str) -> Finding:
        """Return the worst finding of a name."""
        found = [finding for finding in await self.findings() if finding.name == name]
        return max(found, key=lambda finding: ("ok", "warning", "failed").index(finding.state))

    async def failed(self) -> dict[str, str]:
        """Return what has failed: name to what was seen, and see that each has a remedy."""
        failed = [finding for finding in await self.findings() if finding.state == "failed"]
        assert all(finding.remedy for finding in failed)
        return {finding.name: finding.seen for finding in failed}


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    found = Patient(tmp_path / "data")
    found.configure()
    return found


@pytest.fixture
def fresh(tmp_path: Path) -> Patient:
    """A machine on which nothing was started yet."""
    return Patient(tmp_path / "data")


@pytest.fixture
def first() -> Callable[[Patient], None]:
    """Write the first configuration, as `dragoman run` does."""

    def write(patient: Patient) -> None:
        installation.first_configuration(patient.folder)
        patient.environ["DRAGOMAN_PORT"] = str(free_port())

    return write


@pytest.fixture
def environ() -> Mapping[str, str]:
    """This process's environment, without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
