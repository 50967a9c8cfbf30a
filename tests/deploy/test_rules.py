"""The alerts fire when they should and keep silent when they should, by Prometheus' own tool."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.conftest import DEPLOY, EVERYWHERE, ROOT, RULES, Query, need, rules, series, shown

CASES = sorted((DEPLOY / "prometheus" / "tests").glob("*.yaml"))
QUERIES = [Query(place=rule.get("record") or rule["alert"], text=rule["expr"]) for rule in rules("record", "alert")]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))


def promtool(*words: str | Path) -> tuple[int, str]:
    program = need("promtool", "prometheus")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)  # noqa: S603 - our own files
    return done.returncode, done.stdout + done.stderr


def looks() -> list[dict[str, Any]]:
    """Return every look of every case at which alerts fire."""
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
    return [look for case in cases for look in case["promql_expr_test"]]


def test_prometheus_takes_the_rules() -> None:
    code, out = promtool("check", "rules", *RULES)

    assert code == 0, out


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    code, out = promtool("test", "rules", path)

    assert code == 0, out


def test_prometheus_and_alertmanager_take_the_examples(tmp_path: Path) -> None:
    """The token's file is the operator's: the examples name it where it would be."""
    for path in (*RULES, DEPLOY / "prometheus" / "alertmanager.yml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    example = (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "metrics.token").write_text("a-token-of-the-tests", encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(example, encoding="utf-8")

    code, out = promtool("check", "config", tmp_path / "prometheus.yml")
    assert (code, "2 rule files found" in out) == (0, True), out
    amtool = need("amtool", "prometheus-alertmanager")
    done = subprocess.run([amtool, "check-config", tmp_path / "alertmanager.yml"], check=False, capture_output=True)  # noqa: S603 - our own file
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [("severity=critical", "pager"), ("severity=warning", "team"), ("severity=info", "team"), ("", "team")],
)
def test_what_is_critical_wakes_somebody_and_the_rest_waits_for_the_morning(labels: str, receiver: str) -> None:
    amtool = need("amtool", "prometheus-alertmanager")
    routes = f"--config.file={DEPLOY / 'prometheus' / 'alertmanager.yml'}"
    words = [amtool, "config", "routes", "test", routes, *labels.split()]

    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip() == receiver  # noqa: S603 - our own file


def test_every_alert_is_seen_to_fire() -> None:
    labels = " ".join(sample["labels"] for look in looks() for sample in look["exp_samples"])
    fired = {(name, pace) for name, pace in re.findall(r'alertname="(\w+)"(?:, pace="(\w+)")?', labels)}

    assert fired == {(rule["alert"], rule["labels"].get("pace", "")) for rule in rules("alert")}


def test_every_alert_is_seen_to_keep_silent() -> None:
    """At a look everything that fires must be expected: what is not named there is silent."""
    for rule in rules("alert"):
        assert any(rule["alert"] not in str(look["exp_samples"]) for look in looks())
    assert all(look["expr"] == 'sum by (alertname, pace) (ALERTS{alertstate="firing"})' for look in looks())


@pytest.mark.parametrize("query", [*QUERIES, *shown()], ids=lambda query: query.place.replace(" ", "-"))
def test_every_query_asks_for_what_there_is(query: Query) -> None:
    known = series()
    asked = query.names()
    labels = set().union(*(known.get(name, set()) for name, _ in asked)) | EVERYWHERE

    assert asked
    assert {name for name, _ in asked} <= set(known)
    assert query.grouped() <= labels
    for name, matchers in asked:
        assert {label for label, _ in matchers} <= known[name] | EVERYWHERE


@pytest.mark.parametrize("query", [*QUERIES, *shown()], ids=lambda query: query.place.replace(" ", "-"))
def test_every_value_that_a_query_picks_is_one_that_the_code_writes(query: Query) -> None:
    picked = [pair for _, matchers in query.names() for pair in matchers if pair[0] not in EVERYWHERE | {"le"}]
    values = {value for _, pattern in picked for value in pattern.split("|")} - {"firing", "pending"}

    assert {value for value in values if f'"{value}"' not in SOURCE and f"{value}=" not in SOURCE} == set()


def test_the_marks_of_the_objectives_are_buckets() -> None:
    bounds = {bound for query in QUERIES for bound in re.findall(r'le="([\d.]+)"', query.text)}

    assert bounds == {"0.5"}
    assert all(f"{float(bound):g}," in SOURCE for bound in bounds)


def sections() -> dict[str, str]:
    """Return the runbook's sections on alerts, by their headings."""
    page = (ROOT / "docs/how-to/runbook.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))


def test_every_alert_has_a_section_of_the_runbook_and_leads_to_it() -> None:
    assert sorted(sections()) == sorted({rule["alert"] for rule in rules("alert")})
    for rule in rules("alert"):
        assert rule["annotations"]["runbook_url"].endswith(f"docs/how-to/runbook.md#{rule['alert'].lower()}")


@pytest.mark.parametrize("text", sections().values(), ids=sections())
def test_every_section_says_what_it_means_where_to_look_what_to_do_and_when_to_worry(text: str) -> None:
    assert re.findall(r"^- \*\*(\w+)\*\*", text, re.MULTILINE) == ["Means", "Look", "Do", "Worry"]


def test_the_runbook_asks_for_what_there_is_and_names_what_the_log_says() -> None:
    spans = [span.replace("\n", " ") for text in sections().values() for span in re.findall(r"`([^`]+)`", text)]
    asked = [name for span in spans for name, _ in Query(place="runbook", text=span).names()]
    said = {word for span in spans for word in re.findall(r"^([a-z]+\.[a-z_]+)$", span)} - {"dragoman.db"}

    assert len(asked) > 8
    assert set(asked) <= set(series())
    assert len(said) > 10
    assert {word for word in said if f'"{word}"' not in SOURCE and word.partition(".")[0] != "delivery"} == set()
