"""Images that stand in for those that cannot be pulled: Debian's packages under the official names."""

import subprocess
import tempfile
from pathlib import Path
from typing import Final

import yaml
from tests.image.engine import ROOT, Broken, Engine

BASE: Final = "docker.io/library/python:3.13-slim-trixie"
PACKAGES: Final = "python3.13,python3.13-venv,ca-certificates,netbase,tzdata"
LEFT_OUT: Final = ("man", "doc", "locale", "info")
"""Folders of /usr/share that slim images are without."""
CERTIFICATES: Final = ("--volume", "/etc/ssl/certs:/etc/ssl/certs:ro")
"""This machine's own authorities count inside a build too."""
PARTS: Final = (
    *("--volume", f"{ROOT / 'requirements'}:/requirements:ro"),
    *("--volume", "/etc/ssl/certs/ca-certificates.crt:/authorities.crt:ro"),  # a package writes beside Debian's own
)
HERE: Final = Path(__file__).parent
SERVICES: Final = ("postgres", "valkey", "seaweedfs", "prometheus", "haproxy", "grafana")


def base(engine: Engine) -> bool:
    """Have the image that ours stands on; tells whether it is a stand-in."""
    if not engine.has(BASE) and not engine.pulled(BASE):
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "root.tar"
            _debian(archive)
            change = ("--change", 'CMD ["python3"]', "--change", "LABEL stand-in=1")
            engine("import", "--quiet", *change, str(archive), BASE)
    return not _is_real(engine, BASE)


def _debian(archive: Path) -> None:
    """Make a small Debian with the Python where the official image has it."""
    options = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in LEFT_OUT]
    links = 'ln -s /usr/bin/python3.13 "$1/usr/local/bin/python3" && ln -s python3 "$1/usr/local/bin/python"'
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *options]
    words += [f"--customize-hook={links}", "trixie", str(archive)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise Broken(f"mmdebstrap: {done.stderr[-1500:]}")


def images() -> dict[str, str]:
    """Return the images of compose.yaml beside our own: service to name."""
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"]
    return {name: service["image"] for name, service in services.items() if "build" not in service}


def services(engine: Engine) -> list[str]:
    """Have the images of the services around the bot; returns those that are stand-ins."""
    base(engine)
    wanted = sorted(set(images().values()))
    for image in wanted:
        if not _is_real(engine, image) and not engine.pulled(image):
            stage = next(service for service in SERVICES if f"/{service}:" in image)
            file = ("--file", str(HERE / "services.Containerfile"), "--target", stage)
            engine("build", "--quiet", *PARTS, *file, "--tag", image, str(HERE), seconds=900)
    return [image for image in wanted if not _is_real(engine, image)]


def _is_real(engine: Engine, image: str) -> bool:
    """Tell whether an image is there, and is the one whose name it has."""
    return engine.has(image) and "stand-in" not in (engine.inspect("image", image)["Labels"] or {})
