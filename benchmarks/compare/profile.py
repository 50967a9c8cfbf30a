"""Where the CPU time of one message goes: our service at saturation under py-spy, its samples sorted by stage.

Samples are of threads that hold the interpreter's lock; each thread's are scaled to the CPU time that the kernel
counted for it, so that a machine which others use too does not change the shares much. The store's thread lets go of
the lock inside SQLite: how its time splits between the changes is therefore an estimate, its sum is not.
"""

import asyncio
import dataclasses
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.compare import contestants, processes, workload
from benchmarks.compare.load import Phase
from benchmarks.compare.rounds import FOLDER, Bout, started

SPY: Final = contestants.OTHERS.parent / "py-spy"
RATE: Final = 400
"""Samples a second."""
LOOP: Final = "event loop: polling, reads, wake-ups"
WRITER: Final = "store's thread: "
STAGES: Final[Mapping[str, str]] = {
    "/logging/": "logs",
    "/prometheus_client/": "metrics",
    "/dragoman/telemetry.py:labels": "metrics",
    "/dragoman/telemetry.py:observe": "metrics",
    "/dragoman/telemetry.py": "logs",
    "/dragoman/crypto.py": "verify",
    "__init__.py:verify": "verify",
    "flow/receive.py:_verify": "verify",
    "/adapters/slack/api.py": "send: request and outcome",
    "/adapters/slack/send.py": "send: request and outcome",
    "/adapters/slack/__init__.py:send": "send: request and outcome",
    "/adapters/slack/": "parse",
    "/dragoman/store/": "store: calls and answers on the loop",
    "/dragoman/flow/client.py": "HTTP out",
    "/dragoman/flow/tokens.py": "HTTP out",
    "/dragoman/flow/transport/": "HTTP out",
    "/aiohttp/": "HTTP out",
    "/yarl/": "HTTP out",
    "/flow/deliver.py": "deliver: pace, lease, decision",
    "/flow/pace.py": "deliver: pace, lease, decision",
    "/flow/retry.py": "deliver: pace, lease, decision",
    "/flow/work.py": "turn",
    "/dragoman/engine/": "turn",
    "/dragoman/plugins/": "turn",
    "/dragoman/text/": "text: parse, split, render",
    "/markdown_it/": "text: parse, split, render",
    "/flow/receive.py": "accept: the door's own",
    "/dragoman/web/hooks.py": "accept: the door's own",
    "/dragoman/web/protocol.py": "HTTP in",
    "/dragoman/web/visit.py": "HTTP in",
    "/dragoman/web/app.py": "HTTP in",
    "/uvicorn/": "HTTP in",
}
"""The stage of a frame, by what its `file:function` contains; the first that fits. Others belong to their caller's."""
_FRAME: Final = re.compile(r"(?P<name>.*) \((?P<file>.*?)(:\d+)?\)$")
_THREAD: Final = re.compile(r"thread \((?P<id>\d+)\)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """Microseconds of a message by stage and by function, and the rate at which they were measured."""

    stages: Mapping[str, float]
    functions: Mapping[str, float]
    replies_per_second: float

    def words(self) -> str:
        """Return two tables."""
        whole = sum(self.stages.values())
        lines = [f"{whole:.0f} us of CPU per message at {self.replies_per_second:,.0f} replies/s under the profiler"]
        ranked = sorted(self.stages.items(), key=lambda item: -item[1])
        lines += [f"  {name:<42}{cost:8.1f} us {cost / whole:6.1%}" for name, cost in ranked]
        lines.append("in these functions, without what they call")
        most = sorted(self.functions.items(), key=lambda item: -item[1])[:25]
        lines += [f"  {cost:8.1f} us  {name}" for name, cost in most]
        return "\n".join(lines)


def place(frame: str) -> str:
    """Return a frame as `file:function`, from the package on."""
    found = _FRAME.match(frame)
    if found is None:
        return frame
    file = re.sub(r"^.*/(site-packages|src|lib/python[\d.]+)/", "/", found["file"])
    return f"{file}:{found['name'].rpartition('.')[2]}"


def stage(places: Sequence[str]) -> str:
    """Return the stage of a sample: that of the innermost frame which has one."""
    for each in reversed(places):
        for mark, name in STAGES.items():
            if mark in each:
                return name
    return LOOP


def _change(places: Sequence[str]) -> str:
    """Return the change that the store's thread was at: what `_transact` called, or the thread's own work."""
    names = [each.rpartition(":")[2] for each in places]
    inner = names[names.index("_transact") + 1 :] if "_transact" in names else []
    changes = [name for name in inner if name not in {"run", "one"}]
    return WRITER + (changes[0] if changes else "BEGIN, COMMIT, queue")


def read(text: str, cost: Mapping[int, float]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Sort collapsed stacks by stage and function; `cost` is what each thread used, which its samples share."""
    samples: dict[int, Counter[tuple[str, str]]] = {thread: Counter() for thread in cost}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        head, *frames = stack.split(";")
        thread = _THREAD.match(head)
        if thread is None or int(thread["id"]) not in cost or not frames or not count.isdecimal():
            continue
        places = [place(frame) for frame in frames]
        name = _change(places) if "store-writer" in head else stage(places)
        samples[int(thread["id"])][name, places[-1]] += int(count)
    stages: dict[str, float] = defaultdict(float)
    functions: dict[str, float] = defaultdict(float)
    for thread_id, counts in samples.items():
        for (name, function), number in counts.items():
            share = cost[thread_id] * number / counts.total()
            stages[name] += share
            functions[function] += share
    return stages, functions


def _threads(pid: int) -> dict[int, float]:
    """Return the CPU seconds of each thread."""
    used = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        used[int(task.name)] = (int(fields[11]) + int(fields[12])) / processes.TICKS
    return used


async def measure(seconds: float, length: int = 0) -> Profile:
    """Profile our service with 64 messages in flight, each with so many characters more than usual."""
    padding = workload.padding(length)
    async with started("dragoman") as bout:
        await bout.load.play(Phase(name="warm", seconds=3, conversations=1000, padding=padding))
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            return await _watch(bout, Path(folder) / "stacks", seconds, padding)


async def _watch(bout: Bout, stacks: Path, seconds: float, padding: str) -> Profile:
    pid = bout.pids[0]
    options = ["--duration", str(round(seconds)), "--rate", str(RATE), "--format", "raw", "--output", str(stacks)]
    spy = await asyncio.create_subprocess_exec(
        *(str(SPY), "record", "--pid", str(pid), "--gil", "--threads", "--nonblocking", "--full-filenames", *options),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    before = _threads(pid)
    lasted = await bout.load.play(Phase(name="flight", seconds=seconds, conversations=1000, padding=padding))
    count = max(1, len(bout.load.order))
    cost = {thread: (used - before.get(thread, 0.0)) / count * 1e6 for thread, used in _threads(pid).items()}
    if await spy.wait():
        raise RuntimeError("py-spy did not end well: may this user trace processes?")
    stages, functions = read(await asyncio.to_thread(stacks.read_text, encoding="utf-8"), cost)
    return Profile(stages=stages, functions=functions, replies_per_second=count / lasted)
