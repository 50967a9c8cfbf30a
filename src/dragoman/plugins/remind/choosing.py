"""Which reminders somebody means: by number, by words, or the only one."""

import re
from collections.abc import Sequence
from typing import Final

from dragoman.engine.turn import Turn
from dragoman.model import Timer
from dragoman.plugins import phrases
from dragoman.plugins.remind import people

SHOWN: Final = "shown"
"""Where a conversation remembers the list that it was shown last: whose it is, when, and the names in its order."""
RECENT: Final = 600.0
"""Seconds for which "cancel 2" means the list."""

_DIGITS: Final = re.compile(r"\d{1,3}")
_WORDS: Final = {
    word: number
    for number, words in enumerate(
        ("first 1st 一 第一", "second 2nd 二 第二", "third 3rd 三 第三", "fourth 4th 四 第四", "fifth 5th 五 第五"), 1
    )
    for word in words.split()
}
_ORDINAL_ZH: Final = re.compile(r"第?([一二三四五])(?:个|条|号)|(?:提醒|闹钟)第?([一二三四五])$")
_NOISE_EN_WORDS: Final = """
    a an the my me to of for about at on in and that which this it with reminder reminders alarm timer please
    number no
"""
_NOISE_EN: Final = frozenset(_NOISE_EN_WORDS.split())
_NOISE_ZH: Final = re.compile("提醒事项|提醒|闹钟|闹铃|我的?|那个|这个|关于|一下|时间|[的个条号]")


async def chosen(turn: Turn, which: str) -> list[Timer]:
    """Return the reminders that somebody means, none when there is none such; several where words fit several."""
    mine = await people.reminders(turn)
    numbers = numbered(which)
    if numbers:
        by_name = {timer.name: timer for timer in mine}
        order = await _order(turn, mine)
        names = [order[number - 1] for number in numbers if 0 < number <= len(order)]
        return [by_name[name] for name in dict.fromkeys(names) if name in by_name]
    return _by_words(which, mine)


def show(turn: Turn, timers: Sequence[Timer]) -> None:
    """Remember a list that is shown."""
    turn.remember(SHOWN, {"person": turn.person, "at": turn.now, "names": [timer.name for timer in timers]})


async def shown_lately(turn: Turn) -> bool:
    """Tell whether this person was shown a list just now."""
    shown = await turn.recall(SHOWN) or {}
    return shown.get("person") == turn.person and turn.now - shown.get("at", 0.0) <= RECENT


async def _order(turn: Turn, mine: Sequence[Timer]) -> list[str]:
    """Return the names in the order of the list that this person was shown last, else of the next times."""
    shown = await turn.recall(SHOWN) or {}
    if shown.get("person") == turn.person:
        return [str(name) for name in shown.get("names", [])]
    return [timer.name for timer in mine]


def numbered(which: str) -> list[int]:
    """Return the numbers by which reminders are named."""
    digits = [int(found) for found in _DIGITS.findall(re.sub(r"\d{1,2}[:：点]\d*|\d+ ?(?:am|pm)", "", which))]
    if digits:
        return digits
    if phrases.is_chinese(which):
        return [_WORDS[first or second] for first, second in _ORDINAL_ZH.findall(which.strip())]
    return [_WORDS[word] for word in which.casefold().split() if word in _WORDS]


def _by_words(which: str, mine: Sequence[Timer]) -> list[Timer]:
    """Find reminders whose text has all the words; without words all of them are meant."""
    wanted = _wanted(which)
    return [timer for timer in mine if all(word in phrases.normalise(timer.title) for word in wanted)]


def _wanted(which: str) -> list[str]:
    if phrases.is_chinese(which):
        rest = phrases.normalise(_NOISE_ZH.sub(" ", which))
        return rest.split()
    return [word for word in phrases.normalise(which).split() if word not in _NOISE_EN]
