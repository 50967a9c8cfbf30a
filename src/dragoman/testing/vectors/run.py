"""Runs the cases of a file, each from an empty store, and gives each its verdict."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from dragoman import adapters, config
from dragoman.adapter import Adapter, Known
from dragoman.errors import ConfigError
from dragoman.model import Event
from dragoman.testing.vectors import account, case, compare
from dragoman.testing.vectors.case import Case
from dragoman.testing.vectors.facts import Facts
from dragoman.testing.vectors.transports import TRANSPORTS, Trial

Status = Literal["ok", "FAIL", "skip"]
Store = set[tuple[str, str, str]]
"""The keys that were accepted, as the real store knows them: account, kind, key."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaseResult:
    """A case's verdict; `detail` says what differed, or the transport that was skipped."""

    name: str
    status: Status
    detail: str = ""

    @property
    def line(self) -> str:
        """The verdict in one line."""
        head = f"{self.status} {self.name}"
        return f"{head}: {self.detail}" if self.detail else head


def run_vectors(platform: str, path: Path) -> list[CaseResult]:
    """Run a vectors file through a platform's adapter, case by case.

    Raises `ConfigError` when there is no such platform, or the file is missing or not of the format.
    """
    cls = _adapter_class(platform)
    cases = case.read(path)
    return [_judge(cls, each, cases) for each in cases]


def summary(results: Sequence[CaseResult]) -> str:
    """Return the sums in one line."""
    counts = Counter(result.status for result in results)
    return f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped"


def as_json(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the sums and the verdicts as plain data."""
    counts = Counter(result.status for result in results)
    return {
        "passed": counts["ok"],
        "failed": counts["FAIL"],
        "skipped": counts["skip"],
        "cases": [dataclasses.asdict(result) for result in results],
    }


def _adapter_class(platform: str) -> type[Adapter]:
    try:
        return adapters.load(platform)
    except LookupError as error:
        hint = config.nearest(platform, adapters.names())
        raise ConfigError("conformance", "PLATFORM", f"there is no platform {platform!r}", hint) from error
    except TypeError as error:
        raise ConfigError("conformance", "PLATFORM", str(error)) from error


def _judge(cls: type[Adapter], each: Case, cases: tuple[Case, ...]) -> CaseResult:
    try:
        observed = _observe(cls, each, cases)
    except Exception as error:  # noqa: BLE001 - whatever a foreign adapter raises is its verdict, not our end
        detail = f"expected an answer, got {type(error).__name__}: {error}"
        return CaseResult(name=each.name, status="FAIL", detail=_one_line(detail))
    if observed is None:
        return CaseResult(name=each.name, status="skip", detail=each.transport)
    found = "; ".join(_differences(each, observed))
    return CaseResult(name=each.name, status="FAIL" if found else "ok", detail=_one_line(found))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _observe(cls: type[Adapter], each: Case, cases: tuple[Case, ...]) -> Facts | None:
    """Feed a case after those that it repeats, into one store."""
    store: Store = set()
    for earlier in case.history(each, cases):
        _feed(cls, earlier, store)
    return _feed(cls, each, store)


def _feed(cls: type[Adapter], each: Case, store: Store) -> Facts | None:
    """Return what an adapter made of a case; None when it does not have its transport."""
    transport = TRANSPORTS.get(each.transport)
    if transport is None:
        return None
    adapter, keys = account.build(cls, each.config or {})
    known = Known(now=each.now or 0.0, keys=keys, nonce=each.name)
    observed = transport(Trial(adapter=adapter, known=known, request=each.request))
    if observed is None:
        return None
    return {**observed, "events": tuple(_accepted(observed["events"], store))}


def _accepted(events: Sequence[Event], store: Store) -> Iterator[Event]:
    """Give the events that the store did not have yet, and keep them."""
    for event in events:
        key = (event.account, event.kind, event.key)
        if key not in store:
            store.add(key)
            yield event


def _differences(each: Case, observed: Facts) -> Iterator[str]:
    listed = {key: value for key, value in each.expect.items() if key != "events"}
    yield from compare.differences(listed, observed)
    if each.repeats and not 200 <= observed.get("http_status", 200) < 300:
        yield f"expected a success status for a repeat, got {observed['http_status']}"
    if "events" in each.expect:
        yield from compare.event_differences(each.expect["events"] or (), observed["events"])
