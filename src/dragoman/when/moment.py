"""A moment in words for a template: `{date}`, `{time}`, `{weekday}`, `{week}`, `{due}`."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from dragoman.when.names import WEEKDAYS

NAMES: Final = ("date", "time", "weekday", "week", "due")
"""What `values` gives."""


def values(at: float, zone: str) -> dict[str, str]:
    """Return a moment (epoch seconds) as words of its zone: `2026-11-26`, `09:00`, `Thursday`, `48`, and ISO 8601."""
    local = dt.datetime.fromtimestamp(at, ZoneInfo(zone))
    return {
        "date": f"{local:%Y-%m-%d}",
        "time": f"{local:%H:%M}",
        "weekday": WEEKDAYS["en"][local.weekday()],
        "week": str(local.isocalendar().week),
        "due": local.isoformat(timespec="seconds"),
    }
