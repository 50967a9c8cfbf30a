"""Reads what a pattern has matched: one function for each pattern."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import structs

from dragoman.when.chinese import parts
from dragoman.when.chinese.amounts import amounts
from dragoman.when.chinese.letters import NUMBER, number
from dragoman.when.chinese.patterns import WEEK
from dragoman.when.chinese.pieces import Piece
from dragoman.when.spec import Amount, Clock, Every, Unit

Match = re.Match[str]
_AHEAD: Final = {
    "大大后": 4,
    "大后": 3,
    "后": 2,
    "明": 1,
    "今": 0,
    "昨": -1,
    "前": -2,
    "大前": -3,
    "次": 1,
    "听": 1,
    "琴": -1,
    "寻": -1,
    "翌": 1,
    "": 1,
}
_WHICH: Final = {"下下下": 3, "下下": 2, "下": 1, "这": 0, "本": 0, "当": 0, "上": -1, "上上": -2}
_YEARS: Final = {"明": 1, "来": 1, "后": 2, "今": 0, "去": -1}
_UNITS: Final[dict[str, tuple[int, Unit]]] = {
    "分钟": (1, "minute"),
    "刻钟": (15, "minute"),
    "小时": (1, "hour"),
    "钟头": (1, "hour"),
    "整点": (1, "hour"),
    "天": (1, "day"),
    "日": (1, "day"),
    "周": (1, "week"),
    "星期": (1, "week"),
    "礼拜": (1, "week"),
    "月": (1, "month"),
    "季": (3, "month"),
    "季度": (3, "month"),
    "年": (1, "year"),
}
_HOLIDAYS: Final = {
    "元旦": (1, 1),
    "情人": (2, 14),
    "妇女": (3, 8),
    "劳动": (5, 1),
    "五一": (5, 1),
    "儿童": (6, 1),
    "六一": (6, 1),
    "教师": (9, 10),
    "国庆": (10, 1),
    "十一": (10, 1),
    "双十一": (11, 11),
    "双十二": (12, 12),
    "平安夜": (12, 24),
    "圣诞": (12, 25),
}
_WEEKDAY: Final = {
    letter: place
    for place, letters in enumerate(["1一", "2二", "3三", "4四", "5五", "6六", "7日天"])
    for letter in letters
}


def _refused(match: Match) -> Iterator[Piece]:
    yield Piece(kind="refused", doubtful=match[0].startswith(("几点", "第")))


def _moving(_: Match) -> Iterator[Piece]:
    yield Piece(kind="moving", doubtful=True)


def _early(match: Match) -> Iterator[Piece]:
    found = amounts(match["early"] or match["before"])
    yield Piece(kind="early", amounts=found) if found else Piece(kind="refused")


def _times(match: Match) -> Iterator[Piece]:
    count, unit = _UNITS[match["unit"]]
    yield (
        Piece(kind="every", every=Every(count=count, unit=unit))
        if number(match["times"]) == 1
        else Piece(kind="refused")
    )


def _each_week(match: Match) -> Iterator[Piece]:
    count = 2 if match["two"] else number(match["count"] or "一")
    apart = "隔" in (match["apart"] or "")
    yield Piece(kind="each", number=count + (apart and count == 1)) if count else Piece(kind="refused")


def _holiday(match: Match) -> Iterator[Piece]:
    month, day = _HOLIDAYS[match["holiday"]]
    yield Piece(kind="month", named=month, doubtful=True)
    yield Piece(kind="days", numbers=(day,), doubtful=True)


def _each(_: Match) -> Iterator[Piece]:
    yield Piece(kind="each", number=1)


def _interval(match: Match) -> Iterator[Piece]:
    found = amounts(match["span"])
    if not found or (match["times"] and number(match["times"]) != 1):
        yield Piece(kind="refused")
        return
    if every := _repeated(found, apart=bool(match["gap"] or match["apart"])):
        yield Piece(kind="every", every=every)
    else:
        yield Piece(kind="refused")


def _repeated(found: tuple[Amount, ...], *, apart: bool) -> Every | None:
    """Read "每两周" as every 2 weeks and "每隔三天", as most mean it, as every 3 days; "每隔一天" leaves one out."""
    if len(found) == 1:
        count, unit = found[0].count, found[0].unit
        leaves_out = apart and count == 1 and unit not in {"hour", "minute", "second"}
        return Every(count=count + leaves_out, unit=unit)
    sizes = {"hour": 60, "minute": 1}
    if any(amount.unit not in sizes for amount in found):
        return None
    return Every(count=sum(amount.count * sizes[amount.unit] for amount in found), unit="minute")


def _every(match: Match) -> Iterator[Piece]:
    if match["times"] and number(match["times"]) != 1:
        yield Piece(kind="refused")
        return
    count, unit = _UNITS[match["unit"] or "天"]
    apart = bool(match["apart"]) and unit not in {"hour", "minute"}
    yield Piece(kind="every", every=Every(count=count + apart, unit=unit))


def _workdays(_: Match) -> Iterator[Piece]:
    yield Piece(kind="every", every=Every(unit="week", weekdays=(0, 1, 2, 3, 4)))


def _weekend(_: Match) -> Iterator[Piece]:
    yield Piece(kind="every", every=Every(unit="week", weekdays=(5, 6)))


def _ahead(match: Match) -> Iterator[Piece]:
    word = match["ahead"] or match["short"] or match["hk"] or match["next"]
    yield Piece(kind="ahead", number=_AHEAD[word.rstrip("天日儿个")])


def _nth(match: Match) -> Iterator[Piece]:
    which = number(match["which"][1:]) if match["which"].startswith("第") else -1
    if which is None or which > 5 or not which:
        yield Piece(kind="refused")
    else:
        yield Piece(kind="nth", number=which, numbers=(_WEEKDAY[match["day"]],))


def _weekdays(match: Match) -> Iterator[Piece]:
    which = _WHICH.get(match["which"] or "")
    if not match["days"]:
        yield Piece(kind="weekdays", number=which, numbers=(5,), weekend=True)
        return
    days = [_WEEKDAY[letter] for letter in re.sub(WEEK, "", match["days"]) if letter in _WEEKDAY]
    if match["to"]:
        last = _WEEKDAY[match["last"]]
        days = list(range(days[-1], last + 1)) if len(days) == 1 else []
    if not days:
        yield Piece(kind="refused")
        return
    repeats = len(days) > 1 and (days[0] == 0 and days[-1] > 3 if match["to"] else _run_together(match["days"]))
    yield Piece(kind="weekdays", number=which, numbers=tuple(sorted(set(days))), repeats=repeats)


def _run_together(days: str) -> bool:
    """Tell "周一三五", which is meant every week, from "周一和周三"."""
    return days.isalpha() and not re.search(f"{WEEK}|[和及与跟]", days)


def _week(match: Match) -> Iterator[Piece]:
    yield Piece(kind="week", number=_WHICH[match["which"]])


def _iso(match: Match) -> Iterator[Piece]:
    yield Piece(kind="year", named=int(match["year"]))
    yield from _date(match)


def _date(match: Match) -> Iterator[Piece]:
    yield from _month_and_day(int(match["month"]), int(match["day"]))


def _month_and_day(month: int, day: int) -> Iterator[Piece]:
    if 1 <= month <= 12 and 1 <= day <= 31:
        yield Piece(kind="month", named=month)
        yield Piece(kind="days", numbers=(day,))
    else:
        yield Piece(kind="refused")


def _slash(match: Match) -> Iterator[Piece]:
    month, day = next(
        (match[f"month{form}"], match[f"day{form}"]) for form in ("", 2, 3, 4, 5) if match[f"month{form}"]
    )
    for piece in _month_and_day(int(month), int(day)):
        yield structs.replace(piece, doubtful=True)


def _year(match: Match) -> Iterator[Piece]:
    if match["named"]:
        yield Piece(kind="year", number=_YEARS[match["named"]])
    else:
        year = number(match["year"])
        year = year + 2000 if year and year < 100 else year
        yield Piece(kind="year", named=year) if year and 1970 <= year < 10_000 else Piece(kind="refused")


def _month(match: Match) -> Iterator[Piece]:
    if match["which"]:
        yield Piece(kind="month", number=_WHICH[match["which"]])
        return
    month = number(match["month"])
    yield Piece(kind="month", named=month) if month and month <= 12 else Piece(kind="refused")


def _whole_month(match: Match) -> Iterator[Piece]:
    month = number(match["month"])
    if month and month <= 12:
        yield Piece(kind="month", named=month, doubtful=True)


def _edge(match: Match) -> Iterator[Piece]:
    word = match[0]
    day = 15 if "中" in word else 1 if "初" in word or word.startswith(("第", "头", "首")) else -1
    yield Piece(
        kind="days",
        numbers=(day,),
        doubtful=word in {"最后一天", "第一天", "最后1天", "第1天", "倒数第一天", "头一天", "首日"},
    )


def _year_end(match: Match) -> Iterator[Piece]:
    first = match[0].endswith("初")
    yield Piece(kind="month", named=1 if first else 12)
    yield Piece(kind="days", numbers=(1 if first else 31,))


def _of_month(match: Match) -> Iterator[Piece]:
    days = tuple(number(text) or 0 for text in re.findall(NUMBER, match[0]))
    if all(1 <= day <= 31 for day in days):
        yield Piece(kind="days", numbers=days, doubtful=True)


def _after(match: Match) -> Iterator[Piece]:
    found = amounts(match["span"] or match["wait"] or match["again"] or match["timer"] or match["alarm"])
    yield Piece(kind="after", amounts=found) if found else Piece(kind="refused")


def _to(match: Match) -> Iterator[Piece]:
    hour = number(match["hour"] or match["hour2"])
    short = match["short"] or match["short2"]
    minutes = 15 if "刻" in short else number(short.rstrip("分钟 "))
    if hour and hour <= 24 and minutes and minutes < 60:
        yield Piece(kind="clock", clock=Clock(hour=hour - 1, minute=60 - minutes, sure=hour > 13))
    else:
        yield Piece(kind="refused")


def _colon(match: Match) -> Iterator[Piece]:
    hour, minute = int(match["hour"]), int(match["minute"])
    sure = len(match["hour"]) == 2 or not 1 <= hour <= 6
    if hour == 24 and minute:
        yield Piece(kind="refused")
        return
    if match["ampm"]:
        yield Piece(kind="part", part=parts.of(match["ampm"].replace(".", "")))
    yield Piece(kind="clock", clock=Clock(hour=hour, minute=minute, sure=sure))


def _shift(match: Match) -> Iterator[Piece]:
    for part, text in (("morning", match["morning"]), ("evening", match["evening"])):
        hour = number(text)
        if hour is None or not 1 <= hour <= 12:
            yield Piece(kind="refused")
            return
        yield Piece(kind="part", part=part)
        yield Piece(kind="clock", clock=Clock(hour=hour, sure=False))


def _dotted(match: Match) -> Iterator[Piece]:
    yield Piece(kind="clock", clock=Clock(hour=int(match["hour"]), minute=int(match["minute"]), sure=False))


def _bare_hour(match: Match) -> Iterator[Piece]:
    hour = number(match["hour"])
    yield (
        Piece(kind="refused") if hour is None or hour > 24 else Piece(kind="clock", clock=Clock(hour=hour, sure=False))
    )


def _ampm(match: Match) -> Iterator[Piece]:
    yield Piece(kind="part", part=parts.of(match["ampm"].replace(".", "")))
    yield Piece(kind="clock", clock=Clock(hour=int(match["hour"]), sure=False))


def _clock(match: Match) -> Iterator[Piece]:
    hour, minute = number(match["hour"]), _minute(match)
    if hour is None or hour > 24 or minute is None or minute > 59 or (hour == 24 and minute):
        yield Piece(kind="refused", doubtful=True)
        return
    zero = match["hour"].startswith("0") and len(match["hour"]) == 2
    bare = match[0].rstrip().endswith(("点", "时"))
    yield Piece(kind="clock", clock=Clock(hour=hour, minute=minute, sure=zero or not 1 <= hour <= 12), doubtful=bare)


def _minute(match: Match) -> int | None:
    if match["half"]:
        return 30
    if match["quarters"]:
        return 15 * (number(match["quarters"]) or 0)
    text = match["minute"] or match["plain"] or "0"
    return number(text.lstrip("零〇") or "0")


def _part(match: Match) -> Iterator[Piece]:
    yield Piece(kind="part", part=parts.of(match[0].replace(".", "")))


def _rate(match: Match) -> Iterator[Piece]:
    found = amounts(match["span"])
    every = _repeated(found, apart=False) if found else None
    yield Piece(kind="every", every=every) if every else Piece(kind="refused")


def _same(_: Match) -> Iterator[Piece]:
    yield Piece(kind="same")


def _vague(_: Match) -> Iterator[Piece]:
    yield Piece(kind="vague")


def _begin(_: Match) -> Iterator[Piece]:
    yield Piece(kind="begin")


READ: Final[dict[str, Callable[[Match], Iterator[Piece]]]] = {
    "refused": _refused,
    "moving": _moving,
    "early": _early,
    "times": _times,
    "each_week": _each_week,
    "holiday": _holiday,
    "each": _each,
    "interval": _interval,
    "every": _every,
    "workdays": _workdays,
    "weekend": _weekend,
    "ahead": _ahead,
    "nth": _nth,
    "weekdays": _weekdays,
    "week": _week,
    "iso": _iso,
    "slash": _slash,
    "year": _year,
    "date": _date,
    "month": _month,
    "whole_month": _whole_month,
    "edge": _edge,
    "year_end": _year_end,
    "of_month": _of_month,
    "bare_day": _of_month,
    "after": _after,
    "to": _to,
    "colon": _colon,
    "ampm": _ampm,
    "bare_hour": _bare_hour,
    "clock": _clock,
    "part": _part,
    "begin": _begin,
    "rate": _rate,
    "same": _same,
    "vague": _vague,
    "dotted": _dotted,
    "shift": _shift,
}
