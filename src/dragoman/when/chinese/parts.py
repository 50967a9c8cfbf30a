"""The parts of the day: which hours each may have, and which time each means by itself."""

from typing import Final

from dragoman.when.spec import Clock

_NAMES: Final = {
    "dawn": ("凌晨",),
    "morning": (
        "清晨",
        "大清早",
        "清早",
        "一大早",
        "大早上",
        "一早",
        "早晨",
        "早上",
        "早间",
        "朝早",
        "上午",
        "上昼",
        "午前",
        "早",
        "晨",
        "朝",
    ),
    "noon": ("中午", "正午", "午间", "晌午", "午"),
    "afternoon": ("下午", "午后", "下昼", "晏昼"),
    "dusk": ("傍晚", "黄昏"),
    "evening": ("晚上", "晚间", "夜晚", "晚"),
    "night": ("夜间", "夜里", "深夜", "大半夜", "三更半夜", "半夜", "午夜", "子夜", "夜"),
    "both": ("早晚",),
    "all": ("早中晚",),
    "am": ("am",),
    "pm": ("pm",),
}
_PART: Final = {word: part for part, words in _NAMES.items() for word in words}
DEFAULTS: Final = {
    "dawn": Clock(hour=1),
    "morning": Clock(hour=9),
    "noon": Clock(hour=12),
    "afternoon": Clock(hour=15),
    "dusk": Clock(hour=18),
    "evening": Clock(hour=20),
    "night": Clock(hour=24),
}
SEVERAL: Final = {"both": ("morning", "evening"), "all": ("morning", "noon", "evening")}
# For each part the hours of the day that the hours 0 to 12 stand for. 24 and more belong to the next day: the night
# goes with the day on which it began, as in "今晚1点". An hour that is missing contradicts the part.
_HOURS: Final[dict[str, dict[int, int]]] = {
    "dawn": {12: 0} | {hour: hour for hour in range(8)},
    "morning": {hour: hour for hour in range(13)},
    "noon": {10: 10, 11: 11, 12: 12, 1: 13, 2: 14, 3: 15},
    "afternoon": {12: 12} | {hour: hour + 12 for hour in range(1, 12)},
    "dusk": {hour: hour + 12 for hour in range(3, 9)},
    "evening": {hour: hour + 24 for hour in range(5)} | {hour: hour + 12 for hour in range(5, 12)} | {12: 24},
    "night": {hour: hour + 24 for hour in range(6)} | {hour: hour + 12 for hour in range(6, 12)} | {12: 24},
    "am": {12: 0} | {hour: hour for hour in range(12)},
    "pm": {12: 12} | {hour: hour + 12 for hour in range(1, 12)},
}
# The hours from 13 on that agree with a part.
_LATE: Final = {
    "noon": range(13, 16),
    "afternoon": range(13, 24),
    "dusk": range(15, 21),
    "evening": range(16, 25),
    "night": range(18, 25),
    "am": range(0),
    "pm": range(13, 24),
}
_SAME: Final = {
    frozenset({"dawn", "am"}): "dawn",
    frozenset({"morning", "am"}): "morning",
    frozenset({"noon", "pm"}): "noon",
    frozenset({"afternoon", "pm"}): "afternoon",
    frozenset({"dusk", "pm"}): "dusk",
    frozenset({"dusk", "evening"}): "dusk",
    frozenset({"evening", "pm"}): "evening",
    frozenset({"evening", "night"}): "night",
    frozenset({"evening", "dawn"}): "night",
    frozenset({"night", "dawn"}): "night",
}


def of(word: str) -> str:
    """Return the part of the day that a word names."""
    return _PART[word]


def both(first: str, second: str) -> str | None:
    """Join two parts that are said of one time, "今晚凌晨"; None where they contradict."""
    return first if first == second else _SAME.get(frozenset({first, second}))


def place(part: str, clock: Clock) -> Clock | None:
    """Put an hour into a part of the day; from 24 on it belongs to the next day. None where the two contradict."""
    if clock.hour > 12:
        hour = clock.hour if clock.hour in _LATE.get(part, ()) else None
    else:
        hour = _HOURS.get(part, {}).get(clock.hour)
    return None if hour is None else Clock(hour=hour, minute=clock.minute)
