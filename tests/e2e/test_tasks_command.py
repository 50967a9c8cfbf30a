"""`dragoman tasks`, as people type it: with a running service and without one."""

import contextlib
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.e2e.conftest import Command

STANDUP = """
[tasks.standup]
every = "0 9 * * 1-5"
zone = "Europe/Berlin"
to = ["terminal/room"]
say = "Good morning, it is {date}."
"""
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def tasked(dragoman: Command) -> Command:
    """Give the configuration one task."""
    dragoman.configure(STANDUP)
    return dragoman


def shown(dragoman: Command, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dragoman("tasks", "show", name, "--json").out)
    return found


def test_tasks_are_listed_with_their_rule_in_words_and_the_next_time_in_their_zone(tasked: Command) -> None:
    tasked.start()

    ended = tasked("tasks", "list")

    line = rf"standup +active +next {TIME} CES?T +last - +every working day at 09:00 \(Europe/Berlin\)\n"
    assert re.fullmatch(line, ended.out)
    (row,) = json.loads(tasked("tasks", "list", "--json").out)
    assert (row["name"], row["does"], row["to"]) == ("standup", "say", ["terminal/room"])


def test_a_task_is_run_at_once_and_shows_what_became_of_it(
    tasked: Command, eventually: Callable[[Callable[[], object]], object]
) -> None:
    tasked.start()

    assert tasked("tasks", "run", "standup").out == "standup comes now.\n"
    eventually(
        lambda: [fire.get("delivered") for fire in shown(tasked, "standup").get("fires", [])] not in ([], [None])
    )

    out = tasked("tasks", "show", "standup").out
    assert "standup: say, every working day at 09:00 (0 9 * * 1-5, Europe/Berlin), of the file\n" in out
    assert re.search(rf"^e1 +{TIME} CES?T, \d+\.\d s late  terminal/room  tasks\.say$", out, re.MULTILINE)
    assert '  text = "Good morning, it is {date}."\n' in out
    assert " sent as " in out


def test_a_task_is_paused_and_resumed(tasked: Command) -> None:
    tasked.start()

    assert tasked("tasks", "pause", "standup").out == "standup rests.\n"
    assert re.match(r"standup +paused +next - ", tasked("tasks", "list").out)
    assert re.fullmatch(rf"standup comes again, next {TIME} CES?T\.\n", tasked("tasks", "resume", "standup").out)
    assert shown(tasked, "standup")["row"]["state"] == "active"


def test_a_pause_outlasts_a_restart_and_a_signal(tasked: Command) -> None:
    bot = tasked.start()
    tasked("tasks", "pause", "standup")
    bot.process.send_signal(signal.SIGHUP)
    bot.stop()
    tasked.start()

    assert shown(tasked, "standup")["row"]["state"] == "paused"


def test_times_are_told_in_utc_where_a_tasks_zone_is_not_known_any_more(tasked: Command) -> None:
    tasked.start().stop()
    with contextlib.closing(apsw.Connection(str(tasked.folder / "dragoman.db"))) as file:
        file.execute("UPDATE timer SET timer = replace(timer, 'Europe/Berlin', 'Nowhere/City')")

    assert re.match(rf"standup +active +next {TIME} UTC ", tasked("tasks", "list").out)
    assert re.search(rf"^state active, next {TIME} UTC,", tasked("tasks", "show", "standup").out, re.MULTILINE)


def test_a_task_is_added_and_cancelled_with_and_without_a_service(tasked: Command) -> None:
    words = ("tasks", "add", "tea", "--every", "1d", "--at", "2026-01-01 16:00", "--zone", "Asia/Shanghai")
    action = ("--to", '{"account": "web", "channel": "kitchen"}', "--say", "Tea, {weekday}.", "--jitter", "5m")
    tasked.start().stop()

    added = tasked(*words, *action)
    tasked.start()
    listed = tasked("tasks", "list").out
    tea = shown(tasked, "tea")
    cancelled = tasked("tasks", "cancel", "tea")

    assert re.fullmatch(r"tea comes every day, next \d{4}-\d\d-\d\d 16:00:00 CST\.\n", added.out)
    assert [line.split()[0] for line in listed.splitlines()] == ["standup", "tea"]
    assert (tea["row"]["source"], tea["jitter"], tea["row"]["to"]) == ("command", 300.0, ["web/kitchen"])
    assert cancelled.out == "tea is gone.\n"
    assert "tea" not in tasked("tasks", "list").out


def test_a_webhook_and_a_handler_are_added_with_all_that_they_need(tasked: Command) -> None:
    tasked.start()

    hook = tasked(
        *("tasks", "add", "hook", "--every", "15m", "--call", "https://example.com/x", "--method", "PUT"),
        *("--header", "X-Kind: daily", "--body", '{"due": "{due}"}', "--missed", "all", "--overlap", "queue"),
    )
    run = tasked("tasks", "add", "work", "--every", "2h", "--run", "tasks.say", "--run-with", '{"text": "x"}')

    assert (hook.code, run.code) == (0, 0), hook.err + run.err
    found = shown(tasked, "hook")
    assert found["arguments"]["headers"] == {"X-Kind": "daily"}
    assert (found["arguments"]["method"], found["missed"], found["overlap"]) == ("PUT", "all", "queue")
    assert shown(tasked, "work")["arguments"] == {"text": "x"}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a bot with the task, which has run and been stopped; to be copied."""
    home = tmp_path_factory.mktemp("used")
    with contextlib.closing(Command(home)) as command:
        command.configure(STANDUP)
        assert command.start().stop() == 0
    return command.folder


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("show", "nothing"), 1, "there is no task nothing; see `dragoman tasks list`"),
        (("run", "nothing"), 1, "there is no task nothing"),
        (("cancel", "standup"), 1, "the configuration has the task standup: take it out there, or pause it"),
        (("add", "standup", "--every", "1h", "--say", "x"), 1, "the configuration has a task standup: change it there"),
        (("add", "x", "--every", "25h61", "--run", "tasks.say"), 1, "tasks.x.every: 25h61: neither an interval"),
        (("add", "x", "--at", "2020-01-01", "--to", "web/a", "--say", "x"), 1, "2020-01-01 has passed"),
        (
            ("add", "x", "--every", "1h", "--to", "wep/a", "--say", "x"),
            1,
            "there is no account 'wep' (did you mean web?)",
        ),
        (
            ("add", "x", "--every", "1h", "--ask", "What?", "--to", "web/a"),
            1,
            "the plugin llm is not loaded (put it in",
        ),
        (("add", "x", "--every", "1h", "--run", "a.b", "--run-with", "{"), 2, "--run-with: '{' is not JSON"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    dragoman: Command, used: Path, words: tuple[str, ...], code: int, complaint: str
) -> None:
    shutil.copytree(used, dragoman.folder)

    ended = dragoman("tasks", *words)

    assert ended.code == code
    assert complaint in ended.complaint


def test_without_tasks_the_list_says_so(dragoman: Command) -> None:
    dragoman.start()

    assert dragoman("tasks", "list").out == "There are no tasks.\n"
