"""What is asked back when a time cannot be placed: which of two is meant, or what instead of one that has passed."""

import datetime as dt
from typing import Final

from dragoman.when import render
from dragoman.when.names import Language

TEXTS: Final[dict[str, dict[Language, str]]] = {
    "passed": {
        "en": "That has passed: {when}. Which later time do you mean?",
        "zh": "这个时间已经过去了：{when}。请说一个以后的时间。",
    },
    "which": {"en": "Which do you mean: {choices}?", "zh": "您指的是哪一个：{choices}？"},
    "half": {"en": "{day}: {choices}?", "zh": "{day}：{choices}？"},
    "no day": {
        "en": "The calendar has no such day. Which day do you mean?",
        "zh": "日历上没有这一天。您指的是哪一天？",
    },
    "no clock": {
        "en": "A day has no {hour}:{minute:02}. What time do you mean?",
        "zh": "一天里没有 {hour}:{minute:02}。您指的是几点？",
    },
    "far": {
        "en": "That is more than ten years ahead. Which earlier time do you mean?",
        "zh": "这超过十年以后了。请说一个更近的时间。",
    },
    "often": {
        "en": "I can repeat a reminder once a minute at most. How often do you want it?",
        "zh": "提醒最多每分钟重复一次。您希望多久一次？",
    },
    "rule": {
        "en": "One reminder cannot repeat like that. Can you say it more simply, or as two reminders?",
        "zh": "一个提醒无法这样重复。请说得简单一些，或者分成两个提醒。",
    },
}


class Question(Exception):
    """A time that cannot be placed without asking; `choices` are the times between which it asks."""

    def __init__(self, ask: str, choices: tuple[dt.datetime, ...] = ()) -> None:
        super().__init__(ask)
        self.ask = ask
        self.choices = choices


class Passed(Question):
    """A time that is over."""


def passed(at: dt.datetime, now: dt.datetime, language: Language) -> Passed:
    """Say that a time is over and ask for a later one."""
    return Passed(TEXTS["passed"][language].format(when=render.render(at, now, now.tzinfo or dt.UTC, language)))


def which(choices: list[dt.datetime], now: dt.datetime, language: Language) -> Question:
    """Ask which of several times is meant."""
    zone, alternative = now.tzinfo or dt.UTC, {"en": " or ", "zh": "还是 "}[language]
    if len({at.astimezone(zone).date() for at in choices}) == 1:
        day = render.day(choices[0], now, zone, language)
        clocks = alternative.join(render.clock(at, zone) for at in choices)
        return Question(TEXTS["half"][language].format(day=day[:1].upper() + day[1:], choices=clocks), tuple(choices))
    whole = alternative.join(render.render(at, now, zone, language) for at in choices)
    return Question(TEXTS["which"][language].format(choices=whole), tuple(choices))


def simple(name: str, language: Language, **values: int) -> Question:
    """Ask a question that needs no time."""
    return Question(TEXTS[name][language].format(**values))
