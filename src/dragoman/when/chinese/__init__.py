"""Times in Chinese: finds "明天下午3点" or "每个工作日9:00" in a text, and what is to be done then.

A grammar of our own, by rules alone: the same text always gives the same answer, and two times that do not combine give
none. `letters` makes the text plain, `patterns`, `readers` and `scan` find what speaks of time, `meaning` joins it,
`leftover` keeps the rest.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import structs

from dragoman.when.chinese.leftover import called_after, called_before, gap, leftover
from dragoman.when.chinese.letters import NUMBER, fold
from dragoman.when.chinese.meaning import combine
from dragoman.when.chinese.pieces import Piece
from dragoman.when.chinese.scan import scan
from dragoman.when.spec import Found

Cluster = tuple[Piece, ...]
"""Pieces that stand together, with nothing but links between them."""

_UNWANTED: Final = re.compile(
    "^ ?(?:请|帮我)?(?:取消|删除|删掉|撤销|关闭|关掉).{0,20}(?:提醒|闹钟|闹铃)"
    "|(?:不要|不用|不必|无需|别|取消|停止|关掉)(?:再)?(?:提醒|叫我|喊我|通知我)"
)
_SPACED: Final = re.compile(r"(?<!\S)(?:[\u4e00-\u9fff0-9] ){2,}[\u4e00-\u9fff](?!\S)")
"""Letters with a space after each: "十 分 钟 后"."""
_LIMITED: Final = re.compile(
    rf"直到|为止|截止|除外|除了|除[^,。]{{1,8}}外|不包括|不含"
    rf"|(?:连续|持续|坚持){NUMBER}|(?:共|总共|一共|只|就){NUMBER} ?次"
)
"""A repetition that ends, or that leaves days out: no rule says it."""
_REPEATED: Final = re.compile(r"(?:每(?!个?(?:人|位|家|组|班|部门|同[学事]|员工))|逢)[^,。 ]{0,5} ?$")
"""A repetition that was not understood, right before a time: "每个礼拜天天亮 8点"."""
_WOKEN: Final = re.compile("起床|叫醒|叫[我他她]起")
_RANGE: Final = re.compile(" ?(?:到|至|~|-|或者?|还是|、|,) ?")
_DEADLINE: Final = re.compile("(?:之前|以前|前(?![面往台端后去来排天方妻辈男女锋途言沿]|提(?!醒|示)))")
_AFTERWARDS: Final = re.compile("之后|以后|过后")
_OF: Final = re.compile(" ?的(?! ?(?:$|[,。!?]|时候|提醒|闹钟|闹铃))")


def find(text: str) -> Found | None:
    """Find what a text says about time; None when it says nothing, or two things."""
    text = _SPACED.sub(_close, text)
    folded = fold(text)
    if _UNWANTED.search(folded):
        return None
    pieces = scan(folded)
    early = [piece for piece in pieces if piece.kind == "early"]
    if _WOKEN.search(folded):
        pieces = [_morning(piece) for piece in pieces]
    clusters = _own(_clusters([piece for piece in pieces if piece.kind != "early"], folded), folded)
    if not clusters or len(early) > 1:
        return None
    chosen = _choose(clusters, folded)
    spec = combine([*chosen, *early]) if chosen else None
    if not chosen or spec is None:
        return None
    if _LIMITED.search(folded) if spec.every else _REPEATED.search(folded, 0, chosen[0].start):
        return None
    if not early and "提前" in folded and _OF.match(folded, chosen[-1].end):
        return None  # an event's time, and the task comes before it: "8点的航班，提醒我提前两小时出发"
    return Found(spec=spec, what=leftover(text, folded, _spans([*chosen, *early], folded)))


def mentions_time(text: str) -> bool:
    """Tell whether Chinese letters speak of time in a text, so that no other grammar may guess at the rest."""
    folded = fold(text)
    return any(not piece.doubtful and not folded[piece.start : piece.end].isascii() for piece in scan(folded))


def _morning(piece: Piece) -> Piece:
    """Take a bare hour at which somebody is to be woken for the morning's; a part of the day beside it still counts."""
    if piece.kind != "clock" or piece.clock is None or not 4 <= piece.clock.hour <= 11:
        return piece
    return structs.replace(piece, clock=structs.replace(piece.clock, sure=True))


def _close(spaced: re.Match[str]) -> str:
    return spaced[0].replace(" ", "")


def _spans(pieces: Sequence[Piece], text: str) -> list[tuple[int, int]]:
    """Return what the pieces take from the text, the links between them included."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted({(piece.start, piece.end) for piece in pieces if piece.kind != "moving"}):
        if spans and gap(text, spans[-1][1], start) is not None:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _clusters(pieces: Sequence[Piece], text: str) -> list[Cluster]:
    found: list[Cluster] = []
    for piece in pieces:
        if found and (piece.start == found[-1][-1].start or gap(text, found[-1][-1].end, piece.start) == ""):
            found[-1] = (*found[-1], *_ranged(found[-1][-1], piece, text), piece)
        else:
            found.append((piece,))
    return [_marked(cluster, text) for cluster in found]


def _ranged(before: Piece, after: Piece, text: str) -> Cluster:
    """Refuse "2点-3点": a time until another is neither."""
    span = text[before.end : after.start].strip()
    ranged = before.kind == "clock" and after.kind in {"clock", "part"} and span in {"-", "~"}
    return (Piece(kind="refused", start=before.start, end=before.end),) if ranged else ()


def _marked(cluster: Cluster, text: str) -> Cluster:
    """Refuse a limit: "周五前" and "周五之后" are no times; "9点以后" is one."""
    times = {"clock", "part", "after", "every"}
    open_ = not any(piece.kind in times for piece in cluster) and _AFTERWARDS.match(text, cluster[-1].end)
    if open_ or _DEADLINE.match(text, cluster[-1].end):
        return (*cluster, Piece(kind="refused", start=cluster[-1].start, end=cluster[-1].end))
    return cluster


def _own(clusters: list[Cluster], text: str) -> list[Cluster]:
    """Leave out what belongs to the task: "3号会议室", and "8点的电影" beside another time."""
    clusters = [cluster for cluster in clusters if len(cluster) > 1 or not _counts(cluster[0])]
    own = [cluster for cluster in clusters if not _OF.match(text, cluster[-1].end)] or clusters
    own = [cluster for cluster in own if not _told(cluster, text)] or own
    return [
        cluster for cluster in own if not (_weak(cluster) and cluster[0].start and _OF.match(text, cluster[-1].end))
    ]


def _told(cluster: Cluster, text: str) -> bool:
    """Tell whether a deadline belongs to the task: "周五前要交报告" and not "周五前提醒我"."""
    deadline = _DEADLINE.match(text, cluster[-1].end)
    return bool(
        deadline and re.match(" ?(?![每,。 ])", text[deadline.end() :]) and not called_after(text, deadline.end())
    )


def _counts(piece: Piece) -> bool:
    return piece.doubtful and piece.kind == "clock"


def _choose(clusters: list[Cluster], text: str) -> Cluster | None:
    """Join the clusters that make one time; None where they make two.

    What stands before the call to the bot is its time: in "今晚8点提醒我明天带伞" tomorrow belongs to the task.
    """
    chosen = clusters[0]
    for cluster in clusters[1:]:
        start, end = chosen[-1].end, cluster[0].start
        if _RANGE.fullmatch(text, start, end):
            return None
        between = gap(text, start, end)
        joined = _join(chosen, cluster, text, called=between is not None)
        if joined is None:
            return None
        chosen = joined
    return chosen


def _join(first: Cluster, second: Cluster, text: str, *, called: bool) -> Cluster | None:
    if called:
        return _bridged(first, second)
    weak = [_weak(cluster) for cluster in (first, second)]
    if (not any(weak) or _wants_date(first)) and not _share(first, second) and combine((*first, *second)):
        return (*first, *second)
    if weak[1]:
        return first if combine(first) else None
    return second if weak[0] or _asked(first, second, text) else None


def _share(first: Cluster, second: Cluster) -> bool:
    """Tell whether both name a day, or a time of day: "每天8点起床，10点睡觉" is two tasks."""
    return bool({piece.kind for piece in first} & {piece.kind for piece in second} & {"clock", "days", "weekdays"})


def _wants_date(cluster: Cluster) -> bool:
    """Tell whether a month or a year still wants its day: "每个月都要在10号交房租"."""
    return any(piece.every and piece.every.unit in {"month", "year"} for piece in cluster)


def _asked(first: Cluster, second: Cluster, text: str) -> bool:
    """Tell whether the second alone is the reminder's time: "周五要开会，周四晚上提醒我准备"."""
    bounds = first[0].start, first[-1].end
    whole = any(piece.kind in {"ahead", "weekdays", "days", "after"} for piece in second)
    called = called_before(text, bounds[0]) or called_after(text, bounds[1])
    return whole and not called and called_after(text, second[-1].end)


def _bridged(first: Cluster, second: Cluster) -> Cluster | None:
    """Join over a call: "明天提醒我3点开会" is one time; "8点提醒我明天开会" may be two."""
    kinds = {piece.kind for piece in first}
    if "clock" not in kinds:
        return (*first, *second) if not _share(first, second) and combine((*first, *second)) else first
    alone = kinds <= {"clock", "part"} and not {piece.kind for piece in second} & {"clock", "refused"}
    return None if alone else first


def _weak(cluster: Cluster) -> bool:
    """Tell whether a cluster may well count something: a bare "3号" or "三点"."""
    return all(piece.doubtful or piece.kind in {"week", "year"} for piece in cluster) or (
        len(cluster) == 1 and cluster[0].kind == "month"
    )
