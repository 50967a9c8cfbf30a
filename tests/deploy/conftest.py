"""What is shipped to run the bot: rules, dashboard and chart, and the metrics that they may speak of."""

import dataclasses
import functools
import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from dragoman import telemetry

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
RULES: Final = [DEPLOY / "prometheus" / f"{name}.rules.yaml" for name in ("recording", "alerts")]
OF_PROMETHEUS: Final = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
"""What Prometheus knows by itself."""
EVERYWHERE: Final = {"namespace", "job", "instance"}
"""Labels that the scrape gives to everything."""
NAME: Final = re.compile(r"\b(?:dragoman[_:][\w:]+|up|ALERTS)\b(\{[^}]*\})?")
MATCHER: Final = re.compile(r'(\w+)\s*(?:=|!=|=~|!~)\s*"([^"]*)"')
GROUPED: Final = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """One expression: where it stands, and what it says."""

    place: str
    text: str

    def names(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return each metric that it reads, with the labels that it picks and their wanted values."""
        found = NAME.finditer(self.text)
        return [(match[0].partition("{")[0], MATCHER.findall(match[1] or "")) for match in found]

    def grouped(self) -> set[str]:
        """Return the labels by which it groups or joins."""
        return {label.strip() for labels in GROUPED.findall(self.text) for label in labels.split(",")}


def rules(*kinds: str) -> list[dict[str, Any]]:
    """Return the rules that are shipped: those with `record`, with `alert`, or both."""
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULES]
    everything = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    return [rule for rule in everything if set(kinds) & set(rule)]


def metrics() -> dict[str, set[str]]:
    """Return every series that a process shows, and its labels."""
    found: dict[str, set[str]] = {}
    for value in vars(telemetry).values():
        if isinstance(value, Counter | Gauge | Histogram):
            (family,), labels = list(value.describe()), set(value._labelnames)
            more = {"counter": ("_total", "_created"), "histogram": ("_count", "_sum", "_created")}
            found |= {family.name + suffix: labels for suffix in more.get(family.type, ("",))}
            if family.type == "histogram":
                found[family.name + "_bucket"] = labels | {"le"}
    return found


@functools.cache
def series() -> dict[str, set[str]]:
    """Return all that can be asked for: what is scraped, what is recorded, and what Prometheus adds."""
    known = {**metrics(), **OF_PROMETHEUS}
    for rule in rules("record"):
        query = Query(place=rule["record"], text=rule["expr"])
        recorded = known.setdefault(rule["record"], set())
        recorded |= set(rule.get("labels", ())) | query.grouped() - {"le"}
        for name, _ in query.names():
            recorded |= known[name] if ":" in name else set()
    return known


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels, without the rows' titles."""
    dashboard = json.loads((DEPLOY / "grafana" / "dragoman.json").read_text(encoding="utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def shown() -> list[Query]:
    """Return the queries of the dashboard."""
    return [Query(place=panel["title"], text=target["expr"]) for panel in panels() for target in panel["targets"]]


def need(program: str, package: str) -> str:
    """Return a program's path; skips the test where Debian's package is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} here (Debian: apt install {package})")
    return path
