"""The scenarios: what must hold under which faults, and by which scenario each broken build must be found."""

import dataclasses
from typing import Final

from tests.faults import faults
from tests.faults.scenario import Act, Bound, Fault, Profile, Scenario

from dragoman.testing import model_server

POINTS: Final = ("c1", "c5", "c9", "c2", "c6", "c10", "c3", "c7", "c11", "c4", "c8")
"""All points but a poll's and a socket's, so ordered that a message is hardly in hand at three deaths, and parked."""
SLACK: Final = Profile(rates={"slack": 40.0}, kinds=("say",))
ASLEEP: Final = Profile(
    rates={"slack": 12.0, "feishu": 6.0}, seconds=46.0, conversations=2.0, pause=3.0, kinds=("say",)
)
"""Few conversations, slow turns: whoever falls asleep has many in hand, and others are in them when it wakes."""
BOTH: Final = Profile(rates={"slack": 15.0, "feishu": 15.0})

LIGHT: Final = Profile(rates={"slack": 5.0, "feishu": 3.0, "webhook": 2.0, "telegram": 2.0})
"""For minutes on end, on a machine with two processors that has other work besides."""

PG: Final = ("postgres",)


def at(seconds: float, *acts: Act) -> tuple[Fault, ...]:
    """Do these things, so many seconds after the load began."""
    return tuple(Fault(at=seconds, act=act) for act in acts)


SILENT: Final = at(
    2.0,
    *(
        faults.platform(account, 2, after=True, **trouble)
        for account in ("slack", "feishu")
        for trouble in ({"drop": True}, {"status": 502}, {"status": 200, "body": b"", "delay": 12.0})
    ),
)
"""The platforms take a message and do not say so: they hang up, answer 502, or nothing in time."""
UNWILLING: Final = (
    *at(
        1.0,
        faults.platform("slack", 8, status=429, headers={"retry-after": "1"}),
        faults.platform("feishu", 8, status=429, headers={"x-ogw-ratelimit-reset": "1"}),
        faults.platform("telegram", 4, status=503),
    ),
    *at(3.0, faults.platform("slack", 6, status=503)),
)
"""The platforms refuse for a while: too many requests, and errors before anything is taken."""
HOURS: Final = (-1.0, 20 * 24 * 365.0, -24.0, 1.0)
"""By how much the clock is wrong: an hour back, twenty years ahead (beyond 2038), a day back, an hour ahead."""
MOODY: Final = (model_server.hang, model_server.status(529), model_server.garbage(), model_server.cut) * 2

SUSPENDED: Final = Scenario(name="suspended-worker", timeline=at(3.0, faults.suspend(0, 36.0)), load=ASLEEP, stores=PG)
IN_SILENCE: Final = Scenario(
    name="accepted-and-silent",
    timeline=SILENT,
    load=dataclasses.replace(BOTH, kinds=("say",)),  # one part a reply: what is sent twice counts once
    bound=Bound(parked=4, doubtful=2),  # a 5xx is a refusal, also when it is a lie
)

FIXED: Final = (
    SUSPENDED,
    Scenario(name="crash-points", timeline=at(1.0, faults.tours(POINTS, least=8, most=20))),
    Scenario(
        name="poller-dies",
        timeline=at(2.0, faults.owner_dies("telegram", ["p1", "p2"])),
        load=Profile(rates={"telegram": 12.0, "slack": 4.0}),
    ),
    Scenario(
        name="socket-dies",
        timeline=at(2.0, faults.owner_dies("slack", ["s1", "s2"])),
        load=Profile(rates={"socket": 12.0, "feishu": 4.0}, kinds=("say",)),
    ),
    Scenario(name="random-kills", timeline=at(0.5, faults.kills(16.0, 1.0, 4.0)), bound=Bound(charged=1)),
    Scenario(name="power-cut", timeline=at(3.0, faults.kill(down=1.0))),
    Scenario(name="rolling-restart", timeline=at(2.0, faults.rolling()), bound=Bound(refused=0)),
    IN_SILENCE,
    Scenario(name="unwilling-platforms", timeline=UNWILLING),
    Scenario(name="moody-model", timeline=at(1.0, faults.model(*MOODY), faults.kill(0))),
    Scenario(name="poison", timeline=at(1.0, faults.poison()), bound=Bound(parked=1)),
    Scenario(name="duplicates", timeline=at(1.0, faults.duplicates(2_000))),
    Scenario(
        name="clock-jumps",
        timeline=at(1.0, faults.jumps(0, 2.0, *HOURS)),
        bound=Bound(parked=16),  # after a start an hour ahead, what was under way looks too old to be sent again
        clock=True,
    ),
    Scenario(name="database-restarts", timeline=at(1.0, faults.restart_database(4, 2.0, 4.0)), stores=PG),
    Scenario(name="failover", timeline=at(3.0, faults.fail_over(3.0)), stores=PG, standby=True),
    Scenario(
        name="partition",
        timeline=at(2.0, faults.network(0, 20.0, stall=True, on="both", interrupts=1)),
        stores=PG,
    ),
    Scenario(
        name="broken-connections",
        timeline=at(1.0, faults.resets(0, 30, 0.1, 0.4), faults.network(1, 6.0, cut_after=20_000, on="both")),
        stores=PG,
    ),
    Scenario(
        name="roles-apart",
        timeline=at(0.5, faults.kills(12.0, 1.0, 3.0)),
        roles=("gateway", "gateway", "engine", "engine", "connector"),
        bound=Bound(charged=1),
        stores=PG,
    ),
)
"""What `make faults` runs, on both stores where both apply."""

LONG: Final = (
    Scenario(
        name="long-kills",
        timeline=at(0.5, faults.kills(600.0, 3.0, 8.0)),
        load=LIGHT,
        bound=Bound(charged=1),
    ),
    Scenario(
        name="long-database-restarts",
        timeline=at(1.0, faults.restart_database(80, 5.0, 10.0)),
        load=LIGHT,
        stores=PG,
    ),
    Scenario(
        name="soak", load=dataclasses.replace(LIGHT, seconds=600.0), bound=Bound(stall=30.0, refused=0, grown=8.0)
    ),
    Scenario(
        name="long-partition", timeline=at(5.0, faults.network(0, 60.0, stall=True, on="both", interrupts=1)), stores=PG
    ),
    Scenario(name="ten-thousand-duplicates", timeline=at(1.0, faults.duplicates(10_000)), load=LIGHT),
    Scenario(
        name="stampede",
        timeline=at(5.0, faults.kill()),
        roles=("all",) * 10,
        bound=Bound(back=30.0),
        stores=PG,
        connections=50,
    ),
    Scenario(name="database-away", timeline=at(2.0, faults.restart_database(1, 0.0, 0.1, down=8.0)), stores=PG),
    Scenario(name="slow-database", timeline=at(1.0, faults.network(-1, 6.0, latency=0.4, on="both")), stores=PG),
)
"""What `make faults-all` runs besides."""


def named(name: str) -> Scenario:
    """Find a scenario, or the one by which a broken build is found."""
    return FOUND_BY[name][2] if name in FOUND_BY else next(each for each in (*FIXED, *LONG) if each.name == name)


FOUND_BY: Final = {
    "acknowledge-before-commit": (
        "sqlite",
        "lost",
        Scenario(name="kills", timeline=at(0.5, faults.kills(8.0, 1.5, 2.5)), load=SLACK),
    ),
    "no-fence": ("postgres", " lost", dataclasses.replace(SUSPENDED, settling=30.0)),  # counted down twice, never taken
    "memory-only-deduplication": (
        "sqlite",
        "turned twice",
        Scenario(
            name="killed-before-the-answer",
            timeline=at(1.0, faults.tours(["c3", "c3"], least=8, most=20)),
            load=SLACK,
        ),
    ),
    "random-idempotency-keys": (
        "sqlite",
        "in spite of keys",
        IN_SILENCE,
    ),
    "retry-on-timeout": ("sqlite", "duplicates, ", IN_SILENCE),
}
"""For each broken build the store, the word of the verdict, and the scenario that must find it."""
