"""Timers that fire: what a rule makes of missed times, and turns that schedule, on the running service."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.flow.test_line import line

from dragoman.adapter import Receipt
from dragoman.flow import fire
from dragoman.flow.fire import decide
from dragoman.model import Address, Event, Sender, Timer
from dragoman.service.house import WallClock
from dragoman.store.base import Times
from dragoman.store.stored import ready_at
from dragoman.store.timers import Due, Standing
from dragoman.testing.clock import FakeClock

NOON = 1_800_000_000.0
MINUTE, HOUR = 60.0, 3600.0
EVENT = Event(
    key="",
    kind="timer",
    account="acme",
    platform="test",
    conversation="acme/c1",
    address=Address(account="acme", channel="c1"),
    sender=Sender(id="u1"),
)


def standing(at: float = NOON, *, busy: bool = False, **facts: Any) -> Standing:
    return Standing(timer=Timer(name="t1", at=at, event=EVENT, anchor=at, **facts), busy=busy)


@pytest.mark.parametrize(
    ("facts", "late", "come", "missed"),
    [
        ({}, 0, [0], 0),
        ({}, HOUR, [0], 0),
        ({}, 25 * HOUR, [], 1),
        ({"missed": "skip"}, 59, [0], 0),
        ({"missed": "skip"}, 61, [], 1),
        ({"every": "1h"}, 0, [0], 0),
        ({"every": "1h"}, 150 * MINUTE, [120 * MINUTE], 2),
        ({"every": "1h", "missed": "all"}, 150 * MINUTE, [0, 60 * MINUTE, 120 * MINUTE], 0),
        ({"every": "1h", "missed": "all", "grace": 100 * MINUTE}, 150 * MINUTE, [60 * MINUTE, 120 * MINUTE], 1),
        ({"every": "1h", "missed": "skip"}, 150 * MINUTE, [], 3),
        ({"every": "1h", "missed": "skip"}, 120 * MINUTE, [120 * MINUTE], 2),
        ({"every": "1h", "grace": 15 * MINUTE}, 150 * MINUTE, [], 3),
        ({"every": "1h", "grace": 15 * MINUTE}, 130 * MINUTE, [120 * MINUTE], 2),
        ({"every": "1h", "jitter": 300.0, "missed": "skip"}, 350, [0], 0),
    ],
)
def test_what_was_missed_goes_by_the_timers_rule(
    facts: dict[str, Any], late: float, come: list[float], missed: int
) -> None:
    firing = decide(standing(**facts), NOON + late)

    assert [event.at - NOON for event in firing.events] == come
    assert firing.missed == missed


def test_after_a_long_outage_at_most_a_hundred_fires_are_made_up_for_and_the_next_is_in_the_future() -> None:
    firing = decide(standing(every="1m", missed="all", grace=1e9), NOON + 30 * 86_400 + 1)

    assert len(firing.events) == fire.MADE_UP + 1
    assert firing.next_at == NOON + 30 * 86_400 + MINUTE


def test_a_fire_while_the_last_turn_is_not_over_is_skipped_only_where_the_timer_says_so() -> None:
    queued = decide(standing(busy=True, every="1h"), NOON)
    skipped = decide(standing(busy=True, every="1h", overlap="skip"), NOON)

    assert len(queued.events) == 1
    assert (skipped.events, skipped.missed, skipped.next_at) == ((), 1, NOON + HOUR)


def test_each_fire_has_a_key_of_its_own_and_knows_when_it_was_due() -> None:
    firing = decide(standing(every="1h", missed="all"), NOON + HOUR)

    assert [event.key for event in firing.events] == [f"t1@{NOON:.3f}", f"t1@{NOON + HOUR:.3f}"]
    assert [event.value["due"] for event in firing.events] == [NOON, NOON + HOUR]


def test_overdue_timers_get_no_more_than_their_rate() -> None:
    allowance = fire.Allowance(0.0)

    assert allowance.look(0.1) == 5
    allowance.use(5)
    assert allowance.look(0.1) == 0
    assert allowance.look(100.0) == 50


def test_more_fires_than_the_rate_allows_leave_an_allowance_of_none() -> None:
    allowance = fire.Allowance(0.0)
    allowance.use(500)

    assert allowance.look(1.0) == 0


def test_each_fire_of_a_timer_has_its_own_share_of_the_jitter() -> None:
    shares, at = [], NOON
    for _ in range(20):
        firing = decide(standing(at, every="1h", jitter=300.0), at)
        assert firing.next_at is not None
        assert firing.ready_at is not None
        shares.append(firing.ready_at - firing.next_at)
        at = firing.next_at

    assert len(set(shares)) == 20
    assert 0 <= min(shares) < 150 < max(shares) <= 300


def test_a_timer_that_its_jitter_put_off_is_in_time() -> None:
    put_off = next(
        each for number in range(99) if ready_at((each := standing(NOON + number, jitter=600.0)).timer) > NOON + 200
    )
    now = ready_at(put_off.timer) + 1

    assert now - put_off.timer.at > 60
    assert fire.overdue(Due(now=now, timers=(put_off, standing(now - 61)), until_next=1)) == 1


def test_timers_follow_the_wall_clock_when_a_jump_has_lasted() -> None:
    steady, wall = FakeClock(), FakeClock()
    clock = WallClock(steady, wall)
    start = clock()

    wall.advance(3600)
    assert clock() == start
    for each in (steady, wall):
        each.advance(9)
    assert clock() == start + 9
    for each in (steady, wall):
        each.advance(2)
    assert clock() == start + 11 + 3600


def test_a_jump_that_is_taken_back_changes_nothing() -> None:
    steady, wall = FakeClock(), FakeClock()
    clock = WallClock(steady, wall)
    start = clock()
    wall.advance(3600)
    clock()
    for each in (steady, wall):
        each.advance(5)
    wall.advance(-3600)
    clock()
    for each in (steady, wall):
        each.advance(60)

    assert clock() == start + 65


PLUGIN = """
from dragoman import Plugin, Turn

plugin = Plugin("clock")


@plugin.message("^in (?P<seconds>.+)$")
async def ask(turn: Turn, seconds: float) -> None:
    name = turn.schedule(turn.now + seconds, ring, title="the bell", bell=turn.text)
    turn.remember("name", name)


@plugin.command("list")
async def show(turn: Turn) -> None:
    turn.say(", ".join(timer.title for timer in await turn.timers()) or "none")


@plugin.command("never")
async def stop(turn: Turn) -> None:
    turn.cancel(await turn.recall("name"))
    turn.say("gone")


@plugin.command("waver")
async def waver(turn: Turn) -> None:
    turn.cancel("kept")
    turn.schedule(turn.now + 3600, ring, title="kept", name="kept", bell="")
    turn.schedule(turn.now + 3600, ring, title="dropped", name="dropped", bell="")
    turn.cancel("dropped")


@plugin.step
async def ring(turn: Turn, bell: str) -> None:
    turn.say(f"{bell}: {'late' if turn.late > 60 else 'now'}")
"""


@pytest.fixture
def clock_plugin(tmp_path: Path) -> str:
    path = tmp_path / "clock.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return f'\n[plugin.clock]\nuse = "{path}"\n'


async def test_a_turn_schedules_what_comes_in_its_own_conversation(tmp_path: Path, clock_plugin: str) -> None:
    async with line(tmp_path, ["clock"], clock_plugin) as bot:
        await bot.say("in 0.5")

        assert await bot.sent(1) == ["in 0.5: now"]


async def test_what_is_scheduled_can_be_listed_and_taken_away(tmp_path: Path, clock_plugin: str) -> None:
    async with line(tmp_path, ["clock"], clock_plugin) as bot:
        await bot.say("in 3600")
        await bot.say("list")
        await bot.say("never")
        await bot.say("list")

        assert await bot.sent(3) == ["the bell", "gone", "none"]


async def test_of_what_a_turn_wants_of_one_timer_the_last_word_counts(tmp_path: Path, clock_plugin: str) -> None:
    async with line(tmp_path, ["clock"], clock_plugin) as bot:
        await bot.say("waver")
        await bot.say("list")

        assert await bot.sent(1) == ["kept"]


async def test_a_timer_whose_time_has_passed_comes_at_once_and_knows_that_it_is_late(
    tmp_path: Path, clock_plugin: str
) -> None:
    async with line(tmp_path, ["clock"], clock_plugin) as bot:
        await bot.say("in -7200")

        assert await bot.sent(1) == ["in -7200: late"]


async def test_a_timer_for_a_handler_that_is_gone_is_parked_with_the_reason(tmp_path: Path, clock_plugin: str) -> None:
    async with line(tmp_path, ["clock"], clock_plugin) as bot:
        timers = bot.context.store.timers
        gone = {"plugin": "clock", "handler": "chime", "bound": {}}
        event = Event(
            key="",
            kind="timer",
            account="bench",
            platform="slack",
            conversation="bench/c1",
            address=Address(account="bench", channel="c1"),
            sender=Sender(id=""),
            value=gone,
        )
        await timers.set([Timer(name="t1", at=timers.time(), event=event)])

        async with asyncio.timeout(100):
            (reason,) = await bot.parked()
        assert "clock.chime" in reason


STUCK = """
import asyncio
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("stuck")


@plugin.message()
async def wait(turn: Turn) -> None:
    while not (Path(__file__).parent / "gate").exists():
        await asyncio.sleep(0.01)
"""


async def test_a_few_chats_that_are_stuck_keep_nobodys_timer_back(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK, encoding="utf-8")
    async with line(tmp_path, ["stuck"], '\n[plugin.stuck]\nuse = "stuck.py"\n') as bot:
        store = bot.context.store
        for chat in range(6):
            messages = [_message(f"c{chat}", f"{chat}.{number}") for number in range(200)]
            await store.accept("bench", Receipt(events=tuple(messages)), Times(received=0, authenticated=0, parsed=0))
        assert store.waiting() >= fire.CROWDED
        now = store.timers.time()
        await store.timers.set([Timer(name=f"t{number}", at=now, event=SAID) for number in range(3)])

        assert await bot.sent(3) == ["here", "here", "here"]
        assert store.waiting() >= fire.CROWDED
        (tmp_path / "gate").touch()


def _message(channel: str, key: str) -> Event:
    return msgspec.structs.replace(
        SAID,
        key=key,
        kind="message",
        conversation=f"bench/{channel}",
        chat_kind="direct",
        sender=Sender(id="u1"),
        text="hello",
        value={},
    )


SAID = Event(
    key="",
    kind="timer",
    account="bench",
    platform="slack",
    conversation="bench/D00000001",
    address=Address(account="bench", channel="D00000001"),
    sender=Sender(id=""),
    value={"plugin": "tasks", "handler": "say", "bound": {"text": "here"}},
)
"""What brings a text of the operator's."""


@pytest.mark.parametrize(
    "strange",
    [
        {"every": "0 9 * * *", "zone": "Nowhere/City"},
        {"every": "0 9 * * *", "zone": "America"},
        {"every": "whenever"},
        {"every": "1d", "anchor": -1e18},
        {"missed": "to be invented"},
    ],
)
async def test_timers_that_this_process_cannot_read_wait_and_hold_no_other_up(
    tmp_path: Path, strange: dict[str, Any]
) -> None:
    async with line(tmp_path) as bot:
        timers = bot.context.store.timers
        many = range(fire.BATCH + 10)
        late, now = timers.time() - 100, timers.time()
        await timers.set(
            [
                *(Timer(name=f"s{number}", at=late, event=SAID, task="strange", **strange) for number in many[:60]),
                *(Timer(name=f"t{number}", at=now, event=SAID, task="strange", **strange) for number in many),
            ]
        )
        await timers.set([Timer(name="good", at=late + 10, event=SAID)])

        assert await bot.sent(1) == ["here"]
        assert not any(standing.paused for standing in await timers.of_tasks("strange"))
        assert bot.simulator.sent[1:] == []
