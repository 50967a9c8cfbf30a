"""Recurring tasks as settings: what is accepted, what is refused and with which words, and what they become."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dragoman.errors import ConfigError
from dragoman.flow import task as tasks
from dragoman.flow.task import Target, Task
from dragoman.service import installation
from dragoman.testing.process import toml

ACCOUNT = """
[accounts.team]
platform = "webhook"
token = "a-token"
callback_url = "https://example.com/callback"
[accounts.deaf]
platform = "webhook"
token = "another-token"
"""
PLUGIN = """
from dragoman import Plugin, Turn

plugin = Plugin("report")


@plugin.step
async def weekly(turn: Turn, region: str, top: int = 3) -> None:
    turn.say(f"{region} {top}")
"""
SAY = {"every": "1h", "to": ["team/c1"], "say": "Hello."}
CALL = {"every": "1h", "call": "https://example.com/hook"}


def loaded(folder: Path, *tables: Mapping[str, Any], more: str = "", **environ: str) -> dict[str, Task]:
    """Load an installation with these tasks, named t0, t1 and so on."""
    (folder / "report.py").write_text(PLUGIN, encoding="utf-8")
    text = "".join(
        f"[tasks.t{number}]\n" + "".join(f"{name} = {toml(value)}\n" for name, value in table.items())
        for number, table in enumerate(tables)
    )
    path = folder / "dragoman.toml"
    path.write_text(ACCOUNT + '[plugin.report]\nuse = "report.py"\n' + text + more, encoding="utf-8")
    found = installation.load(data=str(folder), configuration=str(path), environ=environ, overrides={})
    plugins = installation.load_plugins(found)
    return installation.load_tasks(found, installation.load_accounts(found, plugins), plugins)


def test_a_task_is_read_with_its_defaults(tmp_path: Path) -> None:
    task = loaded(tmp_path, SAY)["t0"]

    assert (task.zone, task.missed, task.grace, task.overlap, task.jitter) == ("UTC", "once", "15m", "skip", "0s")
    assert task.to == (Target(account="team", channel="c1"),)


def test_a_place_may_be_a_table(tmp_path: Path) -> None:
    place = {"account": "team", "channel": "c1", "workspace": "T1", "thread": "5"}

    assert loaded(tmp_path, {**SAY, "to": [place]})["t0"].to == (Target(**place),)


def test_each_thing_that_a_task_can_do_is_accepted(tmp_path: Path) -> None:
    run = {"every": "0 9 * * 1-5", "zone": "Europe/Berlin", "run": "report.weekly", "run_with": {"region": "north"}}
    ask = {"at": "2099-12-01 09:00", "to": ["team/c1"], "ask": "Sum up {date}."}
    call = {**CALL, "method": "PUT", "headers": {"Authorization": "Bearer env:HOOK"}, "body": '{"now": "{due}"}'}
    model = '[plugin.llm]\nbase_url = "http://127.0.0.1:9/v1"\n'

    found = loaded(tmp_path, SAY, run, ask, call, more=model, HOOK="secret")

    assert [tasks.calling_of(task).handler for task in found.values()] == ["say", "weekly", "ask", "call"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"to": ["team/c1"], "say": "x"}, "tasks.t0: has no rule (set every = "),
        ({**SAY, "every": "61 * * * *"}, "tasks.t0.every: 61 * * * *: bad minute"),
        ({**SAY, "every": "0 0 31 2 *"}, "tasks.t0.every: 0 0 31 2 *: never fires"),
        ({**SAY, "every": "soon"}, "tasks.t0.every: soon: neither an interval (90m, 2h, 3d, 2w) nor a cron"),
        ({**SAY, "every": "0s"}, "tasks.t0.every: 0s: an interval is longer than nothing"),
        ({**SAY, "evry": "1h"}, "tasks.t0.evry: is not a setting (did you mean every?)"),
        ({**SAY, "every": "", "at": "tomorrow"}, "tasks.t0.at: 'tomorrow' is not a time (write 2026-12-01 09:00)"),
        ({**SAY, "every": "0 9 * * *", "at": "2099-01-01"}, "tasks.t0.at: goes with an interval"),
        ({**SAY, "zone": "Europe/Berlim"}, "tasks.t0.zone: there is no time zone 'Europe/Berlim' (did you mean Eur"),
        ({**SAY, "zone": "../etc"}, "tasks.t0.zone: there is no time zone '../etc'"),
        ({**SAY, "zone": ""}, "tasks.t0.zone: there is no time zone ''"),
        ({"every": "1h", "to": ["team/c1"]}, "tasks.t0: has nothing to do (set one of say, ask, run, call)"),
        ({**SAY, "call": "https://example.com"}, "tasks.t0.call: stands beside say, and a task does one thing"),
        ({"every": "1h", "say": "x"}, 'tasks.t0.to: is required and missing (name where to speak: to = ["ACCOUNT/'),
        ({**SAY, "to": ["teem/c1"]}, "tasks.t0.to: there is no account 'teem' (did you mean team?)"),
        ({**SAY, "to": ["deaf/c1"]}, "tasks.t0.to: the webhook has no callback_url"),
        ({**SAY, "to": ["-/c1"]}, "tasks.t0.to: there is no account '-'"),
        ({**SAY, "to": ["team"]}, 'tasks.t0.to: a place is "ACCOUNT/CHANNEL", or a table with account, channel, wo'),
        ({**SAY, "to": [{"account": "team", "chanel": "c"}]}, "tasks.t0.to: chanel is not a setting of a place (did"),
        ({**SAY, "to": ["team/c1", "team/c1"]}, "tasks.t0.to: names a place twice"),
        ({**SAY, "say": "{dat}"}, "tasks.t0.say: {dat} is no placeholder (valid: {task}, {date}, {time}, {weekday}"),
        ({**SAY, "missed": "twice"}, "tasks.t0.missed: Input should be 'skip', 'once' or 'all'"),
        ({**SAY, "overlap": "merge"}, "tasks.t0.overlap: Input should be 'queue' or 'skip'"),
        ({**SAY, "grace": "long"}, "tasks.t0.grace: 'long' is no duration such as 30s, 15m or 2h"),
        ({**SAY, "jitter": "32d"}, "tasks.t0.jitter: is at most 31 days"),
        ({**SAY, "run_with": {"a": 1}}, "tasks.t0.run_with: is for run"),
        ({**SAY, "body": "x"}, "tasks.t0.body: is for call"),
        ({**SAY, "method": "PUT"}, "tasks.t0.method: is for call"),
        ({"every": "1h", "run": "weekly"}, "tasks.t0.run: should be PLUGIN.HANDLER"),
        ({"every": "1h", "run": "reprot.weekly"}, "tasks.t0.run: there is no plugin 'reprot'"),
        (
            {"every": "1h", "run": "report.weakly"},
            "tasks.t0.run: report has no handler 'weakly' (did you mean weekly?)",
        ),
        ({"every": "1h", "run": "report.weekly"}, "tasks.t0.run_with: report.weekly needs region"),
        (
            {"every": "1h", "run": "report.weekly", "run_with": {"regoin": "x"}},
            "tasks.t0.run_with: report.weekly takes no regoin (did you mean region?)",
        ),
        ({**CALL, "to": ["team/c1"]}, "tasks.t0.to: is no setting of a call: nothing is said there (take it out)"),
        ({**CALL, "call": "example.com"}, "tasks.t0.call: should begin with https:// or http://"),
        ({**CALL, "call": "env:HOOK_URL"}, "tasks.t0.call: the environment variable HOOK_URL is not set"),
        ({**CALL, "headers": {"Authorization": "Bearer abc"}}, "tasks.t0.headers: Authorization looks like a secret"),
        ({**CALL, "call": "https://me:abc@example.com/"}, "tasks.t0.call: holds what looks like a secret"),
        ({**CALL, "call": "https://example.com/?api_key=abc"}, "tasks.t0.call: holds what looks like a secret"),
        ({**CALL, "headers": {"X Bad": "1"}}, "tasks.t0.headers: 'X Bad' is no header"),
        ({**CALL, "method": "FETCH"}, "tasks.t0.method: Input should be 'GET', 'POST', 'PUT', 'PATCH' or 'DELETE'"),
    ],
)
def test_what_is_wrong_is_refused_with_its_key_and_a_remedy(
    tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, table)

    assert str(refused.value).startswith(f"{tmp_path / 'dragoman.toml'}: {message}")


def test_a_question_to_a_model_needs_the_models_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugin\.llm: api_key is required"):
        loaded(tmp_path, {**SAY, "say": "", "ask": "What?"})


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tasks\.Bad Name: a name has lower-case letters, digits, - and _ only"):
        loaded(tmp_path, more='[tasks."Bad Name"]\nevery = "1h"\n')


def test_a_variable_overrides_a_setting_of_a_task(tmp_path: Path) -> None:
    found = loaded(tmp_path, SAY, DRAGOMAN_TASKS__T0__ZONE="Asia/Tokyo", DRAGOMAN_TASKS__T0__TO="team/c1, team/c2")

    assert found["t0"].zone == "Asia/Tokyo"
    assert [str(place) for place in found["t0"].to] == ["team/c1", "team/c2"]


def test_tasks_are_shown_and_described_with_all_other_settings(tmp_path: Path) -> None:
    loaded(tmp_path, SAY)
    found = installation.load(
        data=str(tmp_path), configuration=str(tmp_path / "dragoman.toml"), environ={}, overrides={}
    )
    plugins = installation.load_plugins(found)

    shown = installation.effective(found, installation.load_accounts(found, plugins), plugins)

    assert shown["tasks"]["t0"]["say"] == "Hello."
    described = installation.schema()["properties"]["tasks"]["additionalProperties"]
    assert described["properties"]["every"]["description"].startswith("A cron expression")
    assert described["properties"]["to"]["items"]["anyOf"][1]["required"] == ["account", "channel"]


def next_times(task: Task, now: dt.datetime, count: int = 3) -> list[str]:
    """Return when a task comes next, in its zone."""
    zone, times = ZoneInfo(task.zone), []
    (timer,) = tasks.timers("t", task, lambda _name: _account(), "file")
    moment: float | None = now.timestamp()
    for _ in range(count):
        moment = tasks.next_at(timer, moment) if moment is not None else None
        times.append("" if moment is None else f"{dt.datetime.fromtimestamp(moment, zone):%a %d %H:%M}")
    return times


def _account() -> Any:
    from dragoman.service.tasks import HOUSE  # noqa: PLC0415 - the account that every task may have

    return HOUSE


NOW = dt.datetime(2026, 11, 26, 1, 50, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        ({"every": "90m"}, ["Thu 26 03:00", "Thu 26 04:30", "Thu 26 06:00"]),
        ({"every": "1d", "zone": "Asia/Shanghai"}, ["Fri 27 00:00", "Sat 28 00:00", "Sun 29 00:00"]),
        ({"every": "1w"}, ["Mon 30 00:00", "Mon 07 00:00", "Mon 14 00:00"]),
        ({"every": "1d", "at": "2026-11-20 18:30"}, ["Thu 26 18:30", "Fri 27 18:30", "Sat 28 18:30"]),
        ({"every": "1h", "at": "2026-12-01 09:00"}, ["Tue 01 09:00", "Tue 01 10:00", "Tue 01 11:00"]),
        ({"at": "2026-12-01 09:00", "zone": "Europe/Berlin"}, ["Tue 01 09:00", "", ""]),
        ({"at": "2026-11-26 01:49"}, ["", "", ""]),
        ({"every": "0 9 * * 1-5", "zone": "Europe/Berlin"}, ["Thu 26 09:00", "Fri 27 09:00", "Mon 30 09:00"]),
    ],
)
def test_a_rule_gives_the_same_times_whoever_asks_and_when(rule: dict[str, Any], times: list[str]) -> None:
    task = Task(run="x.y", **rule)

    assert next_times(task, NOW) == times
    assert next_times(task, NOW + dt.timedelta(seconds=7)) == times


def test_timers_of_places_that_differ_in_anything_have_different_names() -> None:
    places = [
        Target(account="a", channel="b", thread="c"),
        Target(account="a", channel="b/c"),
        Target(account="a", workspace="b", channel="c"),
        Target(account="a", channel="b:c"),
        Target(account="a", channel="c"),
    ]

    assert len({tasks.timer_name("t", place) for place in places}) == len(places)


def test_a_task_for_an_account_that_is_switched_off_is_no_mistake(tmp_path: Path) -> None:
    found = loaded(tmp_path, SAY, DRAGOMAN_ACCOUNTS__TEAM__ENABLED="false")

    assert list(found) == ["t0"]
    assert list(tasks.timers("t0", found["t0"], lambda _name: None, "file")) == []
