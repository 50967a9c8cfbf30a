"""Finds the pieces of a phrase that speak of time: each match of a pattern, read as a value, or left as a number."""

import re
from typing import Final

from msgspec import structs

from dragoman.when.chinese.letters import NUMERALS
from dragoman.when.chinese.patterns import ANY, READERS
from dragoman.when.chinese.pieces import Piece
from dragoman.when.chinese.readers import READ

_NO_HOUR = re.compile(
    "一线|建议|意见|要求|原因|内容|注意|问题|理由|想法|看法|共识|说明|体会|感想|总结|启示|疑问|期望|希望|收获|好处|坏处|区别"
    "|[都也儿点小不没事倍名餐评击水油心]"
)
_NUMERAL: Final = NUMERALS + "0123456789"
_BEFORE_NUMBER: Final = _NUMERAL + ".几数多"


def scan(text: str) -> list[Piece]:
    """Return the pieces of a folded text, in order."""
    found: list[Piece] = []
    place = 0
    while match := ANY.search(text, place):
        start, end = match.span()
        touching = bool(found) and found[-1].end == start
        if start == end or (_cuts_a_number(text, start) and not touching):
            place = start + 1
            continue
        name = match.lastgroup or ""
        read = READERS[name].match(text, start)
        if read is None or read.end() != end:
            place = start + 1
            continue
        pieces = [structs.replace(piece, start=start, end=end) for piece in READ[name](read)]
        if _ends_a_range(text, start, found):
            pieces = [Piece(kind="refused", start=start, end=end)]
        found += [_doubted(piece, text, touching=touching) for piece in pieces]
        place = end
    return found


def _cuts_a_number(text: str, start: int) -> bool:
    if text[max(start - 3, 0) : start] == "差不多":
        return False
    if text[max(start - 2, 0) : start] == "分之":
        return True
    return start > 0 and text[start] in _NUMERAL and text[start - 1] in _BEFORE_NUMBER


def _ends_a_range(text: str, start: int, found: list[Piece]) -> bool:
    """Tell "3-4点" from "4点"."""
    if (
        start < 2
        or text[start] not in _NUMERAL
        or text[start - 1] not in "-~到至、或/"
        or text[start - 2] not in _NUMERAL
    ):
        return False
    return not found or found[-1].end < start - 1


def _doubted(piece: Piece, text: str, *, touching: bool) -> Piece:
    """Mark a bare "三点" that may count things: by what follows it, or by "早一点", "这三点" before it."""
    if piece.kind != "clock" or touching or not piece.doubtful:
        return structs.replace(piece, doubtful=False) if piece.kind == "clock" else piece
    before = "" if text.endswith("差不多", 0, piece.start) else text[max(piece.start - 1, 0) : piece.start]
    counts = bool(_NO_HOUR.match(text, piece.end)) or bool(before and before in "早晚快慢多少大小有好差高低轻这那第哪")
    return structs.replace(piece, doubtful=counts)
