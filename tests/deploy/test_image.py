"""What builds the image: the engine that works is chosen, and all that the image is made of is locked and in reach."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.deploy.conftest import DEPLOY, ROOT

SCRIPT: Final = DEPLOY / "image.py"
DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that is the whole path: what is not put there is not installed."""
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def install(folder: Path, name: str, *, works: bool) -> None:
    """Put an engine there that notes what it is asked to build, or a client that finds no engine."""
    program = folder / name
    refusal = "" if works else 'if [ "$1" = info ]; then echo "no engine" >&2; exit 1; fi\n'
    program.write_text(f'#!/bin/sh\n{refusal}if [ "$1" = build ]; then echo "{name} $*"; fi\n', encoding="utf-8")
    program.chmod(0o755)


def build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *words]
    environ = {**os.environ, "PATH": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)  # noqa: S603 - our script


def test_an_engine_that_answers_is_taken_before_a_client_that_has_none(programs: Path) -> None:
    install(programs, "docker", works=False)
    install(programs, "podman", works=True)
    install(programs, "buildah", works=True)

    done = build(programs)

    assert done.returncode == 0
    assert "podman build --format docker" in done.stdout


def test_docker_needs_no_word_about_the_format(programs: Path) -> None:
    install(programs, "docker", works=True)

    done = build(programs, "--no-cache")

    assert "docker build --label org.opencontainers.image.version=" in done.stdout
    assert f"--no-cache {ROOT}" in done.stdout


@pytest.mark.parametrize("installed", [(), ("docker",), ("docker", "podman", "buildah")])
def test_without_an_engine_one_line_says_what_to_do(programs: Path, installed: tuple[str, ...]) -> None:
    for name in installed:
        install(programs, name, works=False)

    done = build(programs)

    assert done.returncode == 1
    assert done.stderr == (
        "image: none of docker, podman and buildah answers `info` here (Debian: apt install podman)\n"
    )


def test_what_the_image_is_built_from_is_let_through_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word for found in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for word in found.split()
    }

    assert "*" in lines
    assert allowed == copied
    assert [name for name in allowed if not (ROOT / name).exists()] == []


def test_the_image_ships_what_is_locked_with_hashes_and_nothing_else() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = re.search(r"^IMAGE_EXTRAS := (.+)$", makefile, re.MULTILINE)
    lock = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert extras
    for name in extras[1].split():
        declared = re.search(rf'^{name} = \["([\w-]+)', project, re.MULTILINE)
        assert declared
        assert re.search(rf"^{declared[1]}==.*\\\n    --hash=sha256:", lock, re.MULTILINE), declared[1]
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "apt-get" not in DOCKERFILE.rpartition("FROM ")[2]


def test_the_image_has_the_versions_that_are_tested() -> None:
    def versions(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))

    tested = {**versions("base.txt"), **versions("dev.txt")}
    shipped = versions("image.txt")

    assert {name: version for name, version in shipped.items() if tested.get(name, version) != version} == {}
    assert set(versions("base.txt")) <= set(shipped)


def test_what_runs_needs_no_shell_and_no_root() -> None:
    final = DOCKERFILE.rpartition("FROM ")[2]

    assert re.findall(r"^RUN", final, re.MULTILINE) == []
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001:10001"]
    assert all(
        line.split(" ", 1)[1].startswith("[") for line in final.splitlines() if line.startswith(("CMD", "ENTRY"))
    )
