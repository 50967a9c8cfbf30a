"""The service under a wall clock that can be set: `clock.py FILE run ...` is as many seconds ahead as FILE says.

The monotonic clock goes on as it does where an operator, or the network, sets the time.
"""

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    ahead, real = Path(sys.argv.pop(1)), time.time
    time.time = lambda: real() + float(ahead.read_text(encoding="utf-8"))

    from dragoman.cli import main

    main()
