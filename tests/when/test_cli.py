import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRAGOMAN = Path(sys.executable).with_name("dragoman")
NOW = ("--now", "2026-11-27T14:00:00+01:00", "--tz", "Europe/Berlin")


def parse(text: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [DRAGOMAN, "remind", "parse", text, *options],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
    )


def answer(text: str, *options: str) -> Any:
    done = parse(text, *(options or NOW), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_a_phrase_is_printed_as_json() -> None:
    assert answer("remind me tomorrow at 3pm to call mum") == {
        "understood": True,
        "what": "call mum",
        "at": "2026-11-28T15:00:00+01:00",
        "every": None,
        "ask": None,
    }


@pytest.mark.parametrize("text", ["每个工作日9:00提醒我写日报", "every weekday at 9:00 write the report"])
def test_a_repetition_is_understood_in_both_languages(text: str) -> None:
    reading = answer(text)

    assert (reading["understood"], reading["at"], reading["every"]) == (
        True,
        "2026-11-30T09:00:00+01:00",
        "0 9 * * 1-5",
    )


def test_what_is_ambiguous_is_asked() -> None:
    reading = answer("tomorrow at 3 call mum")

    assert reading["ask"] == "Tomorrow, Saturday 28 November: 03:00 or 15:00?"
    assert (reading["understood"], reading["at"], reading["what"]) == (False, None, "call mum")


def test_a_phrase_without_a_time_is_not_understood_and_no_failure() -> None:
    assert answer("hello") == {"understood": False, "what": "", "at": None, "every": None, "ask": None}


def test_a_phrase_is_printed_for_people() -> None:
    once = parse("tomorrow at 3pm call mum", *NOW)
    often = parse("every weekday at 9:00 write the report", *NOW)

    assert once.stdout.splitlines() == [
        "when:  tomorrow, Saturday 28 November, 15:00 (2026-11-28T15:00:00+01:00)",
        "what:  call mum",
    ]
    assert often.stdout.splitlines() == [
        "when:  Monday 30 November, 09:00 (2026-11-30T09:00:00+01:00)",
        "every: every working day at 09:00 (0 9 * * 1-5)",
        "what:  write the report",
    ]
    assert (once.returncode, often.returncode) == (0, 0)


def test_people_get_one_line_and_a_failure_for_what_is_not_understood() -> None:
    asked, nothing = parse("tomorrow at 3", *NOW), parse("hello", *NOW)

    assert (asked.returncode, asked.stdout) == (1, "ask:   Tomorrow, Saturday 28 November: 03:00 or 15:00?\n")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "dragoman: no time is named there, or more than one; try `tomorrow at 3pm call mum`\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--tz", "Mars/Olympus"), "--tz: there is no time zone 'Mars/Olympus'"),
        (("--tz", "../../etc/passwd"), "--tz: there is no time zone"),
        (("--tz", "\U0001f642"), "--tz: there is no time zone"),
        (("--now", "yesterday"), "--now: 'yesterday' is no ISO 8601 time"),
        (("--now", "9999-12-31T23:59"), "--now: '9999-12-31T23:59' is not between"),
    ],
)
def test_a_wrong_option_is_one_line_and_a_failure(options: tuple[str, ...], reason: str) -> None:
    done = parse("tomorrow", *options, "--json")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"dragoman: {reason}")
    assert done.stderr.count("\n") == 1


def test_a_time_without_an_offset_is_the_zones() -> None:
    assert (
        answer("in 1 hour", "--now", "2026-11-27T14:00", "--tz", "Asia/Shanghai")["at"] == "2026-11-27T15:00:00+08:00"
    )


def test_the_clock_and_the_zone_of_the_machine_are_the_default() -> None:
    done = parse("in 1 hour", "--json", TZ="Asia/Kolkata")

    assert json.loads(done.stdout)["at"].endswith("+05:30")


def test_help_loads_none_of_the_libraries() -> None:
    program = (
        "import sys; sys.argv = ['dragoman', '--help']\n"
        "from dragoman import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('dateparser', 'cronsim', 'dragoman.when') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603 - ours

    assert done.stdout.splitlines()[-1] == "[]"
