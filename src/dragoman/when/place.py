"""A phrase on the calendar of a zone: the time that it means, or the question that it leaves open.

The rules are told in docs/reference/reminders.md.
"""

import datetime as dt
from zoneinfo import ZoneInfo

from dragoman.when import once, repeat
from dragoman.when.names import Language
from dragoman.when.once import Scene
from dragoman.when.questions import Question
from dragoman.when.spec import Found, Reading


def place(found: Found, now: dt.datetime, zone: ZoneInfo, language: Language) -> Reading:
    """Put a phrase on the calendar; `now` knows its own zone. What has to be asked is asked in `language`."""
    local = now.astimezone(zone)
    scene = Scene(now=local, zone=zone, language=language, start=local)
    every = None
    try:
        if found.spec.every is None:
            at = once.place(found.spec, scene)
        else:
            at, every = repeat.place(found.spec, scene)
    except Question as question:
        choices = tuple(iso(choice) for choice in question.choices)
        return Reading(understood=False, what=found.what, ask=question.ask, choices=choices)
    return Reading(understood=True, what=found.what, at=iso(at), every=every)


def iso(at: dt.datetime) -> str:
    """Write a time as ISO 8601 with its zone's offset, to the second."""
    return at.isoformat(timespec="seconds")
