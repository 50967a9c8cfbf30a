"""Another release: `release.py SOURCE run ...` runs the real command line of that source tree, with our libraries.

It writes beside the configuration which tree really runs (`release`), so that nobody tests the wrong one.
"""

import sys
from pathlib import Path

SOURCE = Path(sys.argv[1])


def main() -> None:
    """Run the command line of the other tree."""
    sys.path[0] = str(SOURCE)
    import dragoman  # noqa: PLC0415 - the other one
    from dragoman.cli import main as command  # noqa: PLC0415 - the other one

    if not Path(dragoman.__file__).is_relative_to(SOURCE):
        sys.exit(f"{dragoman.__file__} is not in {SOURCE}")
    Path("release").write_text(str(SOURCE), encoding="utf-8")
    sys.argv = ["dragoman", *sys.argv[2:]]
    command()


if __name__ == "__main__":
    main()
