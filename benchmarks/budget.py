"""The budgets of the base install: its size, the time to the first page, and the memory at idle.

Run with any Python, it measures what is in `.venv`; it needs no network. Exits 1 when a budget is broken.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BIN: Final = ROOT / ".venv" / "bin"
MEGABYTE: Final = 1_000_000
SIZE: Final = 130.0
FIRST_PAGE: Final = 3.0
IDLE: Final = 120.0
SETTLE: Final = 5.0
"""Seconds after the first page at which the service counts as idle."""


def names() -> list[str]:
    """Return the packages of the base lock."""
    lock = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)


SIZES: Final = """
import importlib.metadata, os, sys
total = 0
for name in sys.argv[1:]:
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        continue
    paths = {os.path.realpath(file.locate()) for file in files if "__pycache__" not in file.parts}
    total += sum(os.path.getsize(path) for path in paths if os.path.exists(path) and "site-packages" in path)
print(total)
"""


def size() -> float:
    """Return megabytes of site-packages that the base install brings, without bytecode."""
    command = [str(BIN / "python"), "-c", SIZES, *names(), "dragoman"]
    total = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - our own
    source = sum(path.stat().st_size for path in (ROOT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return (total + source) / MEGABYTE


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start() -> tuple[float, float]:
    """Return seconds to the first page of a first start, and megabytes of memory at idle."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BIN / "dragoman"), "run", "--data", folder, "--port", str(port)]
        began = time.monotonic()
        with subprocess.Popen(  # noqa: S603 - our own command
            command, env=environ, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                first = wait_for(f"http://127.0.0.1:{port}/chat", began)
                time.sleep(SETTLE)
                memory = resident(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    return first, memory


def wait_for(address: str, began: float) -> float:
    """Ask for a page until it comes; returns the seconds since `began`."""
    while time.monotonic() - began < 30:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - loopback
                answer.read()
                return time.monotonic() - began
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    sys.exit("the first page did not come in 30 s")


def resident(pid: int) -> float:
    """Return megabytes of a process's memory that are resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 / MEGABYTE if found else 0.0


def main() -> int:
    """Measure, print a table, and tell whether every budget holds."""
    first, memory = start()
    rows = [
        ("base install, MB", size(), SIZE),
        ("first page, s", first, FIRST_PAGE),
        ("memory at idle, MB", memory, IDLE),
    ]
    for name, value, limit in rows:
        print(f"{name:<20} {value:8.2f}  budget {limit:g}  {'ok' if value <= limit else 'BROKEN'}")
    return 0 if all(value <= limit for _, value, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
