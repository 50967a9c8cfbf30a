"""Build the image with docker, podman or buildah, whichever is there and works: a client without an engine is not."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ENGINES: Final = ("docker", "podman", "buildah")
REPOSITORY: Final = "localhost/dragoman"


def answers(engine: str) -> bool:
    """Tell whether an engine is installed and says what it is."""
    program = shutil.which(engine)
    if program is None:
        return False
    try:
        asked = subprocess.run([program, "info"], capture_output=True, timeout=30, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def version() -> str:
    """Return the release as the project's file has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def revision() -> str:
    """Return the commit that is checked out, or nothing outside a clone."""
    git = shutil.which("git")
    if git is None:
        return ""
    asked = subprocess.run(  # noqa: S603 - fixed words
        [git, "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def command(engine: str, *more: str) -> list[str]:
    """Return the words that build; health checks need Docker's own format of images."""
    form = [] if engine == "docker" else ["--format", "docker"]
    known = {"version": version(), "revision": revision()}  # labels, because an old buildah caches an ARG's old value
    labels = [word for name in known for word in ("--label", f"org.opencontainers.image.{name}={known[name]}")]
    tags = ["--tag", f"{REPOSITORY}:{version()}"]
    return [engine, "build", *form, *labels, *tags, "--file", str(ROOT / "deploy/Dockerfile"), *more, str(ROOT)]


def main() -> None:
    """Choose an engine and build; further words are handed on to it."""
    engine = next(filter(answers, ENGINES), "")
    if not engine:
        sys.exit("image: none of docker, podman and buildah answers `info` here (Debian: apt install podman)")
    print(f"Building {REPOSITORY}:{version()} with {engine}.", flush=True)
    sys.exit(subprocess.run(command(engine, *sys.argv[1:]), check=False).returncode)  # noqa: S603 - an engine's words


if __name__ == "__main__":
    main()
