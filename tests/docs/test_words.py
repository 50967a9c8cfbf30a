"""What the pages name exists under that name: metrics, settings, commands, targets, files, fields, events."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from prometheus_client import Counter, Gauge, Histogram

from dragoman import adapters, cli, plugins, telemetry
from dragoman.adapters.feishu import parse as feishu
from dragoman.adapters.slack import events as slack
from dragoman.adapters.slack import probe
from dragoman.adapters.telegram import poll
from dragoman.adapters.webhook import Form
from dragoman.config import OUTSIDE, AccountSettings, Archive, Backup, Retention, Settings, Traces
from dragoman.flow.task import Task
from dragoman.model import Address, Event, Sender

if TYPE_CHECKING:
    from tests.docs.conftest import Page

SNAKE: Final = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
SPAN: Final = re.compile(r"`([^`]+)`")


def rows(page: "Page", header: str) -> dict[str, str]:
    """Return the rows of the tables whose first column has this header: first cell to second."""
    found: dict[str, str] = {}
    for table in re.findall(rf"^\| {header} \|.*\n\|[-|]+\|\n((?:\|.*\n?)+)", page.text, re.MULTILINE):
        cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
        found.update((name, meaning) for _, name, meaning, *_ in cells)
    return found


def names(page: "Page", header: str) -> set[str]:
    """Return the names in the first column of the tables with this header."""
    return {name for cell in rows(page, header) for name in SPAN.findall(cell)}


def fields(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def settings() -> set[str]:
    """Return the name of every setting there is."""
    owners: list[Any] = [Settings, Retention, Archive, Backup, Traces, AccountSettings, Task]
    owners += [adapters.load(name) for name in adapters.SHIPPED]
    owners += [kind for kind in (plugins.load(name).settings for name in plugins.SHIPPED) if kind]
    return {"use", *(name for kind in owners for name in fields(kind))}


def metrics() -> dict[str, list[str]]:
    """Return every metric, as Prometheus shows its name, and its labels."""
    values: list[Any] = [value for value in vars(telemetry).values() if isinstance(value, Counter | Gauge | Histogram)]
    named = [(value, *value.describe()) for value in values]
    return {
        family.name + ("_total" if family.type == "counter" else ""): list(value._labelnames) for value, family in named
    }


def test_the_metrics_page_has_every_metric_and_no_other(pages: "dict[str, Page]") -> None:
    described = rows(pages["docs/reference/metrics.md"], "metric")

    documented = {name.strip("`"): labels.split(", ") if labels else [] for name, labels in described.items()}
    assert documented == metrics()


def test_every_metric_that_is_named_exists(page: "Page") -> None:
    named = {word for word in page.words if word.startswith("dragoman_") and SNAKE.fullmatch(word)}

    assert named <= set(metrics())


def test_the_glossary_has_a_word_once(pages: "dict[str, Page]") -> None:
    words = re.findall(r"^\| ([^|]+) \|", pages["docs/explanation/glossary.md"].text, re.MULTILINE)

    assert len(words) > 30
    assert [word for word in words if words.count(word) > 1] == []


def test_the_crash_points_are_those_of_the_code(pages: "dict[str, Page]", root: Path) -> None:
    first = " ".join(rows(pages["docs/explanation/guarantees.md"], "point"))
    homes = (root / "src/dragoman/flow", root / "src/dragoman/archive")
    code = "\n".join(path.read_text(encoding="utf-8") for home in homes for path in home.rglob("*.py"))

    assert set(re.findall(r"\w\d+", first)) == set(re.findall(r'crash\.passed\("(\w+)"\)', code))


def test_the_common_form_page_has_every_field(pages: "dict[str, Page]") -> None:
    where = {"account": "a", "platform": "p", "conversation": "c", "address": Address(account="a")}
    event = Event(key="1", sender=Sender(id="u"), **where)  # type: ignore[arg-type]  # each is of its field's type

    assert names(pages["docs/reference/common-form.md"], "field") == set(event.to_json())


def test_the_webhook_page_has_every_field(pages: "dict[str, Page]") -> None:
    assert names(pages["docs/reference/webhook.md"], "field") == set(Form.__struct_fields__)


def assigned(word: str) -> list[str]:
    """Return the names that a code span sets, if it is TOML."""
    try:
        return list(tomllib.loads(word)) if " = " in word else []
    except tomllib.TOMLDecodeError:
        return []


def test_every_setting_in_a_table_of_settings_exists(page: "Page") -> None:
    assert names(page, "setting") <= settings()


def test_every_setting_that_is_written_with_its_value_exists(page: "Page") -> None:
    written = {name for word in page.words for name in assigned(word)}

    assert written <= settings()


def test_every_variable_is_one_of_a_setting(page: "Page") -> None:
    variables = {name for word in page.words for name in re.findall(r"\bDRAGOMAN_\w+", word)}
    firsts = {name.removeprefix("DRAGOMAN_").lower().partition("__")[0] for name in variables - OUTSIDE}

    assert firsts <= fields(Settings) | {"accounts", "plugin", "fault_rounds"}


@pytest.fixture(scope="module")
def source() -> set[str]:
    """Every word of the source."""
    folder = Path(cli.__file__).parents[1]
    files = [path for path in folder.rglob("*") if path.suffix in {".py", ".sql", ".toml", ".yaml"}]
    return {word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}


ELSEWHERE: Final = {"proxy_set_header", "api_token", "epoll_pwait"}
"""Words of nginx, of the imaginary platform, and of Linux."""


def test_every_name_with_an_underscore_is_in_the_source(page: "Page", source: set[str], root: Path) -> None:
    tests = {
        word
        for path in (root / "tests").rglob("test_*.py")
        for word in re.findall(r"test_\w+", path.read_text("utf-8"))
    }
    named = {word for word in page.words if SNAKE.fullmatch(word)}

    assert named - source - tests - ELSEWHERE == set()


def commands(text: str) -> Iterator[list[str]]:
    for words in re.findall(r"\bdragoman ((?:[a-z]+ ?)+)", text):
        yield words.split()


def assert_commands_exist(text: str, command_line: Any) -> None:
    for words in commands(text):
        command = command_line
        for word in words:
            below = getattr(command, "commands", None)
            if below is None:
                break
            assert word in below, f"dragoman {' '.join(words)}"
            command = below[word]


def test_every_command_that_is_named_exists(page: "Page", command_line: Any) -> None:
    for word in page.words:
        assert_commands_exist(word, command_line)


@pytest.mark.parametrize("name", ["plugins/rules.yaml", "service/first.toml"])
def test_every_command_that_the_first_files_name_exists(name: str, command_line: Any) -> None:
    text = (Path(cli.__file__).parents[1] / name).read_text(encoding="utf-8")

    for word in re.findall(r"`([^`\n]+)`", text):
        assert_commands_exist(word, command_line)


def test_every_target_that_is_named_exists(page: "Page", root: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = {found[1] for word in page.words if (found := re.match(r"make ([a-z-]+)", word))}

    assert named <= set(targets)


def test_every_file_that_is_named_exists(page: "Page", root: Path) -> None:
    named = [word for word in page.words if re.match(r"(?:src|docs|tests|benchmarks|deploy|changelog\.d)/", word)]
    written = [re.sub(r"/[^/]*[A-Z]{4}.*", "", word) for word in named]  # NAME and NNNN are the reader's to fill in

    assert [path for path in written if not (root / path).exists()] == []


def test_the_slack_page_names_the_scopes_and_events_of_the_adapter(pages: "dict[str, Page]") -> None:
    page = pages["docs/how-to/connect-slack.md"]
    events = {name.partition(".")[0] for name in names(page, "event")}

    assert set(probe.SCOPES) <= names(page, "scope")
    assert events == {*slack.MESSAGES, *slack.EVENTS}


def test_the_feishu_page_names_the_events_of_the_adapter(pages: "dict[str, Page]") -> None:
    assert names(pages["docs/how-to/connect-feishu.md"], "name") == set(feishu.READERS)


def test_the_tutorial_explains_what_the_log_says_when_polling_stops(pages: "dict[str, Page]", source: set[str]) -> None:
    lines = names(pages["docs/tutorial/telegram.md"], "line")

    assert set(poll.PAUSES) <= lines
    assert {part for name in lines for part in name.split(".")} <= source
