"""Build and run what is shipped for containers: `python -m tests.image container|compose`.

Each check prints a line; the exit code is 1 when one of them fails. Needs podman, and to be root.
"""

import argparse
import subprocess
import sys
import time
import traceback
from typing import Final

from tests.image import compose, container
from tests.image.engine import Broken, Engine, missing

PARTS: Final = {"container": container, "compose": compose}
FAILURES: Final = (AssertionError, Broken, TimeoutError, LookupError, StopIteration, subprocess.TimeoutExpired)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run one part."""
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    part = PARTS[parser.parse_args().part]
    if packages := missing():
        sys.exit(f"image-test: apt install {' '.join(packages)}")
    engine, failed, begun = Engine(), 0, time.monotonic()
    part.prepare(engine)
    say(f"built in {time.monotonic() - begun:.0f} s")
    checks = part.CHECKS
    for check in checks:
        name, begun = check.__name__.strip("_").replace("_", " "), time.monotonic()
        try:
            outcome = f"PASS  {name}: {check(engine)}"
        except FAILURES as error:
            failed += 1
            line = traceback.extract_tb(error.__traceback__)[-1].line
            outcome = f"FAIL  {name}: {type(error).__name__}: {str(error) or line}"
        finally:
            part.clean(engine)
        say(f"{outcome} ({time.monotonic() - begun:.1f} s)")
    say(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
