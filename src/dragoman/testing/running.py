"""The whole service inside a test's own event loop: real store, real server, real client."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from dragoman.service import installation
from dragoman.service.house import House
from dragoman.service.run import run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A running service: its address, and what it has open."""

    url: str
    house: House


@contextlib.asynccontextmanager
async def running(folder: Path, configuration: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Run a service on a data folder and a free loopback port while the context is open."""
    path = folder / "dragoman.toml"
    path.write_text(configuration, encoding="utf-8")
    found = installation.load(data=str(folder), configuration=str(path), environ=environ or {}, overrides={"port": 0})
    started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    def announce(house: House, address: str) -> None:
        started.set_result(Running(url=f"http://{address}", house=house))

    task = asyncio.create_task(run(found, announce=announce, stop=stop))
    try:
        waiting: set[asyncio.Future[Any]] = {task, started}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield await started
    finally:
        stop.set()
        await task
