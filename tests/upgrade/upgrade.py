"""An upgrade and its way back under traffic, as a scenario of the faults: nothing lost, nothing twice, order kept."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tests.faults.scenario import Bound, Fault, Field, Profile, Scenario
from tests.upgrade.releases import Release

TRAFFIC: Final = 2.0
"""Seconds of traffic between two changes."""
LOAD: Final = Profile(rates={"slack": 8.0, "feishu": 4.0, "webhook": 2.0, "telegram": 2.0}, seconds=1.0)
REPLICAS: Final = {"sqlite": 1, "postgres": 2}


def scenario(store: str, old: Release, new: Release) -> Scenario:
    """Run the old release, the new one, and the old one again; on PostgreSQL one replica after the other.

    An orderly stop leaves nothing to chance, so no reply may come twice, whether the platform takes keys or not.
    """
    replicas = range(REPLICAS[store])
    steps = [(number, release) for release in (new, old) for number in replicas]

    async def there_and_back(field: Field) -> None:
        for number, release in steps:
            await _change(field, number, release)
        await asyncio.sleep(TRAFFIC)
        found = max(number for (number,) in await field.database.rows("SELECT number FROM migration"))
        if found != new.schema(store):
            raise RuntimeError(f"the schema is {found}, and {new.name} has {new.schema(store)}")

    return Scenario(
        name=f"upgrade: {old.name}, {new.name}, {old.name}",
        timeline=(Fault(at=TRAFFIC, act=there_and_back),),
        load=LOAD,
        bound=Bound(interrupted=0),
        stores=(store,),
        roles=("all",) * REPLICAS[store],
        release=old.source,
    )


async def _change(field: Field, number: int, release: Release) -> None:
    """Stop a replica in order and start it as another release, then leave it to its traffic."""
    replica = field.fleet.replicas[number]
    replica.become(release.source)
    await field.fleet.terminate(number)
    if replica.release != str(release.source):
        raise RuntimeError(f"{replica.release} runs, not {release.source}")
    await asyncio.sleep(TRAFFIC)


def problems(line: dict[str, object]) -> Sequence[str]:
    """Return what is wrong with a run."""
    red = line["red"]
    return [str(reason) for reason in red] if isinstance(red, list) else ["no verdict"]
