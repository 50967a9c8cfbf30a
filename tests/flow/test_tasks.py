"""Recurring tasks on a running service: they come by the configuration and by command, and can be steered."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman import telemetry
from dragoman.errors import ConfigError, TaskRefused
from dragoman.flow import tasks
from dragoman.flow.tasks import Row
from dragoman.testing.model_server import ModelServer, says, status
from dragoman.testing.process import configuration
from dragoman.testing.running import running
from dragoman.testing.simulator import respond, serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Response, json_response

CHANNEL = "C00000001"
OFTEN = """
[tasks.tick]
every = "1s"
to = ["bench/C00000001"]
say = "tick {due}"
missed = "all"
overlap = "queue"
"""
RARE = '[tasks.standup]\nevery = "0 9 1 1 *"\nto = ["bench/C00000001"]\nsay = "Good morning."\n'

GATED = """
import asyncio
from pathlib import Path

from dragoman import Plugin, Turn

plugin = Plugin("gated")
FOLDER = Path(__file__).parent


@plugin.step
async def wait(turn: Turn, word: str = "waited") -> None:
    with (FOLDER / "turns").open("a") as file:
        file.write(turn.event.key + "\\n")
    while not (FOLDER / "gate").exists():
        await asyncio.sleep(0.01)
    turn.say(word)
"""
"""A plugin in no routing order: its handler writes down that it began, and goes on when the file `gate` is there."""


@dataclasses.dataclass(kw_only=True)
class Desk:
    """A running service with the account `bench` on a simulated Slack, and its configuration."""

    folder: Path
    simulator: SlackSimulator
    house: Any
    base: str

    @property
    def context(self) -> Any:
        return self.house.context

    def texts(self) -> list[str]:
        return [accepted.text for accepted in self.simulator.sent]

    async def configured(self, text: str) -> None:
        """Change the tasks, and wait until the service follows."""
        wanted = self.context.book.tasks
        (self.folder / "dragoman.toml").write_text(self.base + text, encoding="utf-8")
        self.house.attendants.asked.set()  # what SIGHUP does
        await self.until(lambda: self.context.book.tasks is not wanted)

    async def until(self, look: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not look():
                await asyncio.sleep(0.01)

    async def until_true(self, look: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(20):
            while not await look():
                await asyncio.sleep(0.01)

    async def row(self, name: str) -> Row:
        (row,) = [row for row in await tasks.listed(self.context) if row.name == name]
        return row

    def begun(self) -> list[str]:
        file = self.folder / "turns"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@contextlib.asynccontextmanager
async def desk(folder: Path, text: str = "", *, more: str = "", **settings: Any) -> AsyncIterator[Desk]:
    """Run a service with these tasks."""
    simulator = SlackSimulator()
    simulator.unlimited()
    (folder / "gated.py").write_text(GATED, encoding="utf-8")
    async with serve(simulator) as url:
        table = {"platform": "slack", **simulator.settings(url), "sends_per_second": 100}
        base = configuration({"bench": table}, plugins=["echo"], **settings)
        base += '[plugin.gated]\nuse = "gated.py"\n' + more
        async with running(folder, base + text) as service:
            yield Desk(folder=folder, simulator=simulator, house=service.house, base=base)


@dataclasses.dataclass
class Hook:
    """Somebody's webhook: it writes down what it was asked, and answers by a script, at last with 200."""

    answers: list[Response] = dataclasses.field(default_factory=list)
    asked: list[tuple[str, Mapping[str, str], bytes]] = dataclasses.field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked.append((request.method, dict(request.headers), await request.body()))
        await respond(send, self.answers.pop(0) if self.answers else json_response({}))


def moments(bot: Desk) -> list[float]:
    """Return the times for which the task `tick` said something, in epoch seconds."""
    return [dt.datetime.fromisoformat(text.removeprefix("tick ")).timestamp() for text in bot.texts()]


async def added(bot: Desk, name: str, table: Mapping[str, object]) -> Row:
    return await tasks.add(bot.context, name, tasks.described(name, table))


def counted(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(f"dragoman_{name}", labels) or 0.0


# What comes


async def test_a_task_says_its_text_at_each_of_its_times_once(tmp_path: Path) -> None:
    fires, late = counted("timer_fires_total", outcome="fired"), counted("timer_lateness_seconds_count")
    async with desk(tmp_path, OFTEN) as bot:
        await bot.until(lambda: len(bot.simulator.sent) >= 3)

    first = moments(bot)[0]
    assert moments(bot) == [first + number for number in range(len(bot.texts()))]
    assert bot.simulator.sent[0].channel == CHANNEL
    assert counted("timer_fires_total", outcome="fired") - fires >= 3
    assert counted("timer_lateness_seconds_count") - late >= 3


async def test_a_task_speaks_at_each_of_its_places_and_in_a_thread(tmp_path: Path) -> None:
    thread = {"account": "bench", "channel": "C00000002", "thread": "1700000000.000100"}
    table = {"every": "1y", "to": ["bench/C00000001", thread], "say": "{task}: {weekday}"}
    async with desk(tmp_path) as bot:
        await added(bot, "both", {**table, "every": "52w"})
        assert await tasks.run(bot.context, "both", "c1") == 2
        await bot.until(lambda: len(bot.simulator.sent) == 2)

    said = sorted((sent.channel, sent.text, sent.body.get("thread_ts")) for sent in bot.simulator.sent)
    today = f"{dt.datetime.now(dt.UTC):%A}"
    assert said == [
        ("C00000001", f"both: {today}", None),
        ("C00000002", f"both: {today}", "1700000000.000100"),
    ]


async def test_a_question_is_answered_by_the_model_with_what_was_said_there(tmp_path: Path) -> None:
    model = ModelServer()
    model.script(status(400), says("Three lines."))
    async with serve(model) as url:
        llm = f'[plugin.llm]\nbase_url = "{url}/v1"\nmodel = "tiny"\nsystem = "Be brief."\n'
        async with desk(tmp_path, more=llm) as bot:
            await added(bot, "sum", {"every": "52w", "to": ["bench/C00000001"], "ask": "Sum up {task}."})
            await tasks.run(bot.context, "sum", "c1")
            await bot.until(lambda: bot.simulator.sent)

    assert bot.texts() == ["Three lines."]  # what the model refused at first was tried again, and nothing was said
    assert model.requests[-1].messages[-1] == ("user", "Sum up sum.")


async def test_a_handler_of_a_plugin_runs_with_its_arguments_though_no_order_has_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    table = {"every": "52w", "to": ["bench/C00000001"], "run": "gated.wait", "run_with": {"word": "done"}}
    async with desk(tmp_path) as bot:
        await added(bot, "work", table)
        await tasks.run(bot.context, "work", "c1")
        await bot.until(lambda: bot.simulator.sent)

    assert bot.texts() == ["done"]


async def test_a_handler_may_run_for_no_place_at_all(tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    async with desk(tmp_path) as bot:
        await added(bot, "work", {"every": "52w", "run": "gated.wait"})
        await tasks.run(bot.context, "work", "c1")

        async def over() -> bool:
            return [fire.status for fire in (await tasks.shown(bot.context, "work")).fires] == ["done"]

        await bot.until_true(over)

    assert bot.begun()
    assert bot.texts() == []


# Webhooks


async def test_a_webhook_is_called_with_a_key_and_the_secret_that_is_kept_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-77\n", encoding="utf-8")
    hook = Hook()
    async with serve(hook) as url, desk(tmp_path, private_hosts=["127.0.0.1"]) as bot:
        headers = {"Authorization": "Bearer file:token"}
        await added(bot, "hook", {"every": "52w", "call": f"{url}/x", "headers": headers})
        await tasks.run(bot.context, "hook", "c1")
        await bot.until(lambda: hook.asked)

        async def answered() -> bool:
            return [fire.outcome for fire in (await tasks.shown(bot.context, "hook")).fires] == [
                "tasks.call: answered 200"
            ]

        await bot.until_true(answered)

    (method, sent, body) = hook.asked[0]
    assert method == "POST"
    assert sent["authorization"] == "Bearer canary-77"
    assert len(sent["idempotency-key"]) > 16
    assert msgspec.json.decode(body)["task"] == "hook"
    assert b"canary-77" not in (tmp_path / "dragoman.db").read_bytes()


async def test_a_webhook_that_fails_is_called_again_with_the_same_key(tmp_path: Path) -> None:
    failed, hook = counted("task_calls_total", task="hook", outcome="failed"), Hook([Response(status=503)])
    async with serve(hook) as url, desk(tmp_path, private_hosts=["127.0.0.1"]) as bot:
        table = {"every": "52w", "call": url, "method": "PUT", "body": '{"at": "{due}"}'}
        await added(bot, "hook", table)
        await tasks.run(bot.context, "hook", "c1")
        await bot.until(lambda: len(hook.asked) == 2)

    first, second = hook.asked
    assert first[1]["idempotency-key"] == second[1]["idempotency-key"]
    assert (first[0], first[2]) == (second[0], second[2])
    assert first[1]["content-type"] == "application/json"
    assert counted("task_calls_total", task="hook", outcome="failed") - failed == 1


async def test_why_a_fire_still_waits_is_shown(tmp_path: Path) -> None:
    hook = Hook([Response(status=503)] * 9)
    async with serve(hook) as url, desk(tmp_path, private_hosts=["127.0.0.1"]) as bot:
        await added(bot, "hook", {"every": "52w", "call": url})
        await tasks.run(bot.context, "hook", "c1")

        async def shown() -> bool:
            return [(fire.status, fire.outcome) for fire in (await tasks.shown(bot.context, "hook")).fires] == [
                ("waiting", "PluginError: the webhook answered 503")
            ]

        await bot.until_true(shown)


async def test_what_a_webhook_refuses_is_not_repeated_and_is_shown(tmp_path: Path) -> None:
    refused, hook = counted("task_calls_total", task="hook", outcome="refused"), Hook([Response(status=404)])
    async with serve(hook) as url, desk(tmp_path, private_hosts=["127.0.0.1"]) as bot:
        await added(bot, "hook", {"every": "52w", "call": url})
        await tasks.run(bot.context, "hook", "c1")

        async def shown() -> bool:
            return [(fire.status, fire.outcome) for fire in (await tasks.shown(bot.context, "hook")).fires] == [
                ("done", "tasks.call: answered 404")
            ]

        await bot.until_true(shown)

    assert len(hook.asked) == 1
    assert counted("task_calls_total", task="hook", outcome="refused") - refused == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_no_webhook_within_our_own_walls_is_called(tmp_path: Path, host: str) -> None:
    hook = Hook()
    async with serve(hook) as url, desk(tmp_path) as bot:
        port = url.rpartition(":")[2]
        failed = counted("task_calls_total", task="hook", outcome="failed")
        await added(bot, "hook", {"every": "52w", "call": f"http://{host}:{port}/"})
        await tasks.run(bot.context, "hook", "c1")
        await bot.until(lambda: counted("task_calls_total", task="hook", outcome="failed") > failed)

    assert hook.asked == []


# Steering


async def test_a_paused_task_rests_until_it_is_resumed_and_makes_up_for_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path, OFTEN) as bot:
        clock = bot.context.store.timers.time
        await bot.until(bot.texts)
        await tasks.pause(bot.context, "tick")
        paused, row = clock(), await bot.row("tick")
        await bot.until(lambda: clock() > paused + 2.5)
        resumed = clock()
        again = await tasks.resume(bot.context, "tick")
        await bot.until(lambda: moments(bot)[-1] > resumed)

    assert (row.state, row.next_at, again.state) == ("paused", None, "active")
    assert [moment for moment in moments(bot) if paused < moment <= resumed] == []


async def test_a_task_comes_at_once_beside_its_rule_once_for_each_command(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        next_at = (await bot.row("standup")).next_at
        await tasks.run(bot.context, "standup", "one")
        await bot.until(bot.texts)
        await tasks.run(bot.context, "standup", "two")
        await bot.until(lambda: len(bot.texts()) == 2)
        row, shown = await bot.row("standup"), await tasks.shown(bot.context, "standup")

    assert bot.texts() == ["Good morning.", "Good morning."]
    assert row.next_at == next_at
    assert [fire.place for fire in shown.fires] == ["bench/C00000001", "bench/C00000001"]


async def test_a_command_that_is_repeated_because_its_answer_was_lost_lets_a_task_come_once(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        await tasks.run(bot.context, "standup", "one")
        await bot.until(bot.texts)
        await tasks.run(bot.context, "standup", "one")
        await tasks.run(bot.context, "standup", "two")
        await bot.until(lambda: len(bot.texts()) == 2)
        fires = (await tasks.shown(bot.context, "standup")).fires

    assert [fire.id for fire in fires] == sorted({fire.id for fire in fires}, reverse=True)
    assert len(bot.texts()) == len(fires) == 2
    assert all(0 <= fire.accepted - fire.due < 60 for fire in fires)


async def test_a_task_comes_back_to_its_rule_after_a_clock_that_was_ahead(tmp_path: Path) -> None:
    async with desk(tmp_path) as bot:
        timers = bot.context.store.timers
        hourly = await added(bot, "hourly", {"every": "1h", "to": ["bench/C00000001"], "say": "hour"})
        rests = await added(bot, "rests", {"every": "1h", "to": ["bench/C00000001"], "say": "hour"})
        assert hourly.next_at is not None
        kept = [standing.timer for standing in await timers.of_tasks()]
        await timers.set([msgspec.structs.replace(timer, at=timer.at + 5 * 3600) for timer in kept])
        await tasks.pause(bot.context, "rests")
        bot.house.attendants.asked.set()

        async def back() -> bool:
            return (await bot.row("hourly")).next_at == hourly.next_at

        await bot.until_true(back)
        assert (await bot.row("rests")).state == "paused"
        assert (await tasks.resume(bot.context, "rests")).next_at == rests.next_at
        assert bot.texts() == []


async def test_a_paused_task_can_be_run_and_rests_on(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        await tasks.pause(bot.context, "standup")
        await tasks.run(bot.context, "standup", "one")
        await bot.until(bot.texts)

        assert (await bot.row("standup")).state == "paused"


async def test_a_task_that_a_command_added_can_be_cancelled(tmp_path: Path) -> None:
    async with desk(tmp_path) as bot:
        row = await added(bot, "tick", {"every": "1s", "to": ["bench/C00000001"], "say": "tick"})
        await bot.until(bot.texts)
        await tasks.cancel(bot.context, "tick")

        assert (row.source, row.rule, row.does, row.to) == ("command", "every second", "say", ("bench/C00000001",))
        assert await tasks.listed(bot.context) == []


async def test_a_command_cannot_change_what_the_configuration_has(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        with pytest.raises(TaskRefused, match="take it out there, or pause it"):
            await tasks.cancel(bot.context, "standup")
        with pytest.raises(TaskRefused, match="the configuration has a task standup"):
            await added(bot, "standup", {"every": "1h", "run": "gated.wait"})


@pytest.mark.parametrize("question", [tasks.shown, tasks.pause, tasks.resume, tasks.cancel])
async def test_an_unknown_task_is_refused(tmp_path: Path, question: Callable[..., Awaitable[Any]]) -> None:
    async with desk(tmp_path) as bot:
        with pytest.raises(TaskRefused, match="there is no task nothing"):
            await question(bot.context, "nothing")
        with pytest.raises(TaskRefused, match="there is no task nothing"):
            await tasks.run(bot.context, "nothing", "c1")


async def test_what_a_command_adds_is_checked_as_the_configuration_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as bot:
        with pytest.raises(ConfigError, match=r"dragoman tasks add: tasks.x.to: there is no account 'bunch' \(did you"):
            await added(bot, "x", {"every": "1h", "to": ["bunch/c1"], "say": "x"})
        with pytest.raises(TaskRefused, match="2020-01-01 has passed"):
            await added(bot, "x", {"at": "2020-01-01", "run": "gated.wait"})
        await added(bot, "x", {"every": "1h", "run": "gated.wait"})
        with pytest.raises(TaskRefused, match="there is a task x: cancel it first"):
            await added(bot, "x", {"every": "1h", "run": "gated.wait"})


async def test_a_fire_is_skipped_while_the_turn_of_the_last_one_is_not_over(tmp_path: Path) -> None:
    rule = '[tasks.slow]\nevery = "1s"\nrun = "gated.wait"\nto = ["bench/C00000001"]\n'
    async with desk(tmp_path, rule) as bot:
        await bot.until(bot.begun)

        async def skipped() -> bool:
            return (await bot.row("slow")).missed >= 2

        await bot.until_true(skipped)
        held = bot.begun()
        (tmp_path / "gate").touch()
        await bot.until(lambda: len(bot.texts()) >= 2)

    assert len(held) == 1


async def test_fires_queue_where_the_task_says_so(tmp_path: Path) -> None:
    rule = '[tasks.slow]\nevery = "1s"\nrun = "gated.wait"\nto = ["bench/C00000001"]\noverlap = "queue"\n'
    async with desk(tmp_path, rule) as bot:
        await bot.until(bot.begun)

        async def queued() -> bool:
            return (await bot.row("slow")).fired >= 3

        await bot.until_true(queued)
        (tmp_path / "gate").touch()
        await bot.until(lambda: len(bot.texts()) >= 3)

    assert len(set(bot.begun())) == len(bot.begun()) >= 3


# The configuration is followed


async def test_tasks_come_and_go_with_the_configuration(tmp_path: Path) -> None:
    async with desk(tmp_path) as bot:
        await bot.configured(RARE)
        came = [row.name for row in await tasks.listed(bot.context)]
        await bot.configured("")
        gone = await tasks.listed(bot.context)

    assert (came, gone) == (["standup"], [])


async def test_an_unchanged_task_keeps_its_time_its_counts_and_its_pause(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE + OFTEN) as bot:
        await bot.until(bot.texts)
        await tasks.pause(bot.context, "tick")
        before = await bot.row("tick"), await bot.row("standup")
        await bot.configured(OFTEN + RARE + OFTEN.replace("tick", "tock"))
        after = await bot.row("tick"), await bot.row("standup")

    assert after == before
    assert after[0].state == "paused"


async def test_a_changed_task_has_its_new_rule_and_goes_on_resting(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        await tasks.pause(bot.context, "standup")
        await bot.configured(RARE.replace("0 9 1 1 *", "30 8 1 1 *"))
        row = await bot.row("standup")

    assert (row.every, row.state) == ("30 8 1 1 *", "paused")


async def test_a_place_that_is_added_to_a_resting_task_rests_too(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        await tasks.pause(bot.context, "standup")
        await bot.configured(RARE.replace('"]', '", "bench/C00000002"]'))
        row = await bot.row("standup")

    assert (len(row.to), row.state) == (2, "paused")


async def test_the_configuration_takes_a_name_that_a_command_has(tmp_path: Path) -> None:
    async with desk(tmp_path) as bot:
        await added(bot, "standup", {"every": "1h", "run": "gated.wait"})
        await bot.configured(RARE)
        row = await bot.row("standup")
        timers = await bot.context.store.timers.of_tasks()

    assert (row.source, row.does) == ("file", "say")
    assert len(timers) == 1


async def test_a_wrong_task_changes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path, RARE) as bot:
        before = await tasks.listed(bot.context)
        (tmp_path / "dragoman.toml").write_text(bot.base + RARE.replace("0 9", "99 9"), encoding="utf-8")
        await bot.house.attendants.follow()

        assert await tasks.listed(bot.context) == before


async def test_a_time_that_has_passed_when_it_is_first_read_does_not_come(tmp_path: Path) -> None:
    past = '[tasks.once]\nat = "2020-01-01 09:00"\nto = ["bench/C00000001"]\nsay = "late"\n'
    async with desk(tmp_path, past) as bot:
        row = await bot.row("once")
        await tasks.run(bot.context, "once", "one")
        await bot.until(bot.texts)

    assert (row.state, row.rule, row.next_at) == ("over", "once", None)
    assert bot.texts() == ["late"]
