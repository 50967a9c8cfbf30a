"""Upgrade and go back under traffic, on both stores, from the release before to this one and from this to the next.

`python -m tests.upgrade` prints one line of JSON for each run. The exit code is 1 when one is red, or when the history
with the release before is not here and REQUIRE_SERVERS is set.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.faults.cluster import template
from tests.faults.scenario import run
from tests.upgrade import releases
from tests.upgrade.upgrade import problems, scenario


async def main() -> int:
    """Run all four."""
    wrong = []
    async with template() as source:
        for store in ("sqlite", "postgres"):
            with tempfile.TemporaryDirectory(prefix="dgm-releases-") as name:
                folder = Path(name)
                pairs = [(releases.ours(), releases.after(store, folder / "next"))]
                try:
                    pairs.append((releases.before(store, folder / "before"), releases.ours()))
                except releases.NoHistory as absent:
                    sys.stdout.write(f"SKIPPED {store}: the release before is not here: {absent}\n")
                    wrong += [str(absent)] if os.environ.get("REQUIRE_SERVERS") else []
                for old, new in pairs:
                    line = await run(scenario(store, old, new), store, 1, source)
                    sys.stdout.write(json.dumps(line) + "\n")
                    sys.stdout.flush()
                    wrong += problems(line)
    for reason in wrong:
        sys.stdout.write(f"RED  {reason}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
