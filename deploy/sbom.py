"""Add the base's Debian packages to the list of Python packages that is in the image (CycloneDX, JSON)."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote


def packages(status: str) -> Iterator[dict[str, str]]:
    """Read dpkg's list of what is installed."""
    for paragraph in status.split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.splitlines() if not line.startswith(" "))
        fields = {name: value for name, _, value in lines}
        if fields.get("Status", "").endswith(" installed"):
            yield fields


def component(package: dict[str, str]) -> dict[str, Any]:
    """Describe a package as a component."""
    name, version, architecture = package["Package"], package["Version"], package["Architecture"]
    reference = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
    return {"bom-ref": reference, "type": "library", "name": name, "version": version, "purl": reference}


def main() -> None:
    """Read a document and dpkg's status file, and write another document."""
    source, status, target = map(Path, sys.argv[1:])
    document = json.loads(source.read_text(encoding="utf-8"))
    document["components"] += map(component, packages(status.read_text(encoding="utf-8")))
    target.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
