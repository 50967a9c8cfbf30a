"""The buttons under reminders: what is pressed comes back as `remind:verb:language:about`.

They carry a timer's name, or a time, and never a position in a list that may have changed since.
"""

import re
from typing import Final

from dragoman.model import Button, Value
from dragoman.when.names import Language

PREFIX: Final = "remind"
LABELS: Final[dict[str, dict[Language, str]]] = {
    "undo": {"en": "Undo", "zh": "撤销"},
    "done": {"en": "Done", "zh": "完成"},
    "snooze10": {"en": "Snooze 10 min", "zh": "10分钟后再提醒"},
    "snooze60": {"en": "Snooze 1 hour", "zh": "1小时后再提醒"},
    "stop": {"en": "Stop", "zh": "不再提醒"},
    "yes": {"en": "Yes", "zh": "是"},
    "no": {"en": "No", "zh": "否"},
}
_YES_WORDS: Final = """
    yes y yeah yep sure ok okay right correct 是 是的 对 对的 好 好的 嗯 可以 确定 确认 没错
"""
YES: Final = frozenset(_YES_WORDS.split())
_NO_WORDS: Final = """
    no n nope wrong 否 不 不是 不对 不用 不要 错
"""
NO: Final = frozenset(_NO_WORDS.split())
FILLERS: Final = frozenset({"please", "thanks", "thank", "you", "do", "it", "that", "of", "course", "all"})
"""What may stand beside a yes or a no."""


class Press(Value):
    """A pressed button."""

    verb: str
    language: Language
    about: str = ""


def button(verb: str, language: Language, about: str = "", label: str = "") -> Button:
    """Return a button of ours."""
    return Button(text=label or LABELS[verb][language], value=f"{PREFIX}:{verb}:{language}:{about}")


def read(value: object) -> Press | None:
    """Read what a pressed button brought; None when it is none of ours."""
    parts = str(value).split(":", 3)
    if len(parts) != 4 or parts[0] != PREFIX:
        return None
    return Press(verb=parts[1], language="zh" if parts[2] == "zh" else "en", about=parts[3])


def yes_or_no(answer: str) -> bool | None:
    """Read the answer to a question of yes or no, pressed or said; None when it is neither."""
    press = read(answer)
    said = press.verb if press else answer.casefold()
    words = set(re.findall(r"[^\s.,!。！，]+", said)) - FILLERS
    return True if words and words <= YES else False if words and words <= NO else None
