"""So much time: "一个半小时", "1小时30分钟", "半个月"."""

import re
from typing import Final

from dragoman.when.chinese.letters import NUMBER, number
from dragoman.when.spec import Amount, Unit

_TERM: Final = (
    rf"(?P<count>[0-9]{{1,4}}\.[0-9]{{1,2}}|{NUMBER}点{NUMBER}(?= ?个?(?:小时|钟头))|{NUMBER}|半) ?"
    r"(?P<ge>个半|个)? ?(?P<unit>小时|钟头|钟|星期|礼拜|季度|月|分钟|分|秒钟|秒|刻钟|刻|天|日|周|年"
    r"|(?:hours?|hrs?|h|minutes?|mins?|seconds?|secs?|days?|weeks?)(?![a-z]))(?P<rest>半(?!夜))?"
)
_READ = re.compile(_TERM)
AMOUNT: Final = rf"(?:{re.sub(r'[?]P<[a-z]+>', '?:', _TERM)}(?:[零又]|(?<=[时头天]) (?={NUMBER} ?(?:小时|分)))?){{1,3}}"
"""Matches one amount, up to three units."""

_UNITS: Final[dict[str, tuple[Unit, int]]] = {
    "小时": ("hour", 1),
    "钟头": ("hour", 1),
    "钟": ("hour", 1),
    "h": ("hour", 1),
    "星期": ("week", 1),
    "礼拜": ("week", 1),
    "周": ("week", 1),
    "w": ("week", 1),
    "季度": ("month", 3),
    "月": ("month", 1),
    "分": ("minute", 1),
    "分钟": ("minute", 1),
    "m": ("minute", 1),
    "秒": ("second", 1),
    "秒钟": ("second", 1),
    "s": ("second", 1),
    "刻": ("minute", 15),
    "刻钟": ("minute", 15),
    "天": ("day", 1),
    "日": ("day", 1),
    "d": ("day", 1),
    "年": ("year", 1),
}
_PARTS: Final[dict[Unit, tuple[Unit, int]]] = {
    "hour": ("minute", 60),
    "minute": ("second", 60),
    "day": ("hour", 24),
    "month": ("day", 30),
    "year": ("month", 12),
}


def amounts(text: str) -> tuple[Amount, ...] | None:
    """Read an amount; None where it is none after all ("3月", "半周") or nothing."""
    found: list[Amount] = []
    for term in _READ.finditer(text):
        read = _term(term["count"], term["ge"] or "", term["unit"], half=bool(term["rest"]))
        if read is None:
            return None
        found += read
    return tuple(found) if found else None


def _term(count: str, measure: str, word: str, *, half: bool) -> list[Amount] | None:
    if (word in {"月", "钟"}) != bool(measure) and word in {"月", "钟"}:
        return None
    unit, times = _UNITS[word] if word in _UNITS else _UNITS[word[0]]
    hundredths = _hundredths(count)
    if hundredths is None:
        return None
    hundredths = (hundredths + 50 * (half + (measure == "个半"))) * times
    whole, rest = divmod(hundredths, 100)
    if not rest:
        return [Amount(count=whole, unit=unit)] if whole else None
    if unit not in _PARTS:
        return None
    smaller, size = _PARTS[unit]
    if rest * size % 100:
        return None
    if unit in {"hour", "minute"}:
        return [Amount(count=hundredths * size // 100, unit=smaller)]
    part = Amount(count=rest * size // 100, unit=smaller)
    return [Amount(count=whole, unit=unit), part] if whole else [part]


def _hundredths(text: str) -> int | None:
    if text == "半":
        return 50
    whole, point, rest = text.replace("点", ".").partition(".")
    value = number(whole)
    if value is None or not point:
        return None if value is None else value * 100
    part = number(rest)
    if part is None:
        return None
    return value * 100 + (part * 10 if len(rest) == 1 else part if part < 100 else 0)
