"""What is left of a text without its time: the user's own words, without the calls to the bot around them."""

import re
from collections.abc import Sequence
from typing import Final

_WHO: Final = " ?(?:自己|我们|咱们|一下我|我|大家|各位)?"
_MORE: Final = "(?:一下|一声|一次|声|下(?![班课午单厨水雨雪车楼地游载周个棋载乡海去来属山一]))?"
_OTHER: Final = (
    "[小老阿](?![组说测学区型板师会时考费])[^ ,]|[^ ,我]{1,2}(?:总|老师|哥|姐|经理|主任)"
    "|妈妈?|爸爸?|老婆|老公|老板|老师|孩子|儿子|女儿|爷爷|奶奶|外婆|外公"
    "|同事|同学|客户|领导|团队|员工|所有人|每个人"
)
"""Whom else to remind: that is the task."""
_SET: Final = (
    "(?:设置?|设定|定|订|上|调|建立?|创建|新建|添加|新增|加|安排|来|整|弄|做|发|开)(?:一下|好|了)?"
    "(?:一个|一条|个|条)?(?:新的?)?"
)
_ALARM: Final = "(?:闹钟|闹铃|闹表|提醒(?:事项)?|日程|待办(?:事项)?|定时器|备忘录?|通知)"
CALL: Final = (
    rf"(?:提醒|提示|通知)(?:一下|下)?(?!事项|单|函|书|[他她它您])(?!{_OTHER})(?!我们?的){_WHO}{_MORE}"
    rf"|(?:叫|喊|唤)(?:一下)?(?:醒我|我们|我|大家){_MORE}|告诉我{_MORE}|@我|(?:call|cue|ping|踢|敲|戳|滴){_MORE}我{_MORE}"
    "|[#/](?:提醒|闹钟|日程|待办|remind(?:er)?(?![a-z]))|remind me(?: to)?(?![a-z])"
    "|(?:千万)?(?:不要|别)(?:让我)?(?:忘记了?|忘了?)|记得|记着|切记"
    "|(?:把|的)?(?:闹钟|闹铃|提醒)(?:设置?|设定|定|调)(?:在|到|成|为)|一个?闹钟|【(?:提醒|备忘|待办)】|(?<!前)提提?我(?![们的])|[帮给替]我记(?:一下|[下住着个])?(?![账录载忆])"
    rf"|{_SET}(?:定时|每日|每天|日程|待办)?{_ALARM}(?:事项)?(?:[:,]|提醒)?"
)
_POLITE: Final = (
    "(?:麻烦|拜托|劳烦)(?:你|您)?(?:一下|了)?|劳驾|能不能|可不可以|能否|可否|可以|能|请(?:你|您)?|帮(?:个忙|忙|我|一下)*"
    "|给我|替我|为我|我?(?:想要?|希望|需要)(?:你|您)?|你|您|要|得|到时候?|届时|到点|准时|按时|再|都|就|务必|一定|那就?|先"
    "|你好|您好|嗨|哈喽|(?:hi|hello|hey|please|pls)(?![a-z])|(?:早上|上午|中午|下午|晚上)好|早安|小?助手|机器人"
    "|从?现在(?:开始|起)|从今往后|从今以后|今后|以后|的?时候?|的?那天|当天|的话|之?后|开始|起|的"
)
_LINK: Final = r"[ ,、。.;:!?~·•⏰|-]"
_ABOUT: Final = "左右|前后|上下|大概|大约|差不多"
_SOON: Final = "[待等呆一]会儿?|等一?下|回头"
_TAIL: Final = (
    "好吗|好么|好不好|可以吗|可以么|行吗|行么|行不行|谢谢?(?:你|您|啦|了)?|多谢|感谢|thx|thanks|thank you"
    "|[吧哦噢喔呀啊哈呢嘛啦哟喽咯吗]|就(?:行|好|可以)了?|即可|一次|ok"
)
_GREETING: Final = re.compile(
    rf"(?:(?:你好|您好|嗨|哈喽|嗯+|好[的吧]?|行|哦|喂|(?:hi|hello|hey)(?![a-z])|(?:早上|上午|中午|下午|晚上)好|早安|小?助手|机器人)[啊呀]?{_LINK}+)+"
)
_AGAIN: Final = (
    f"(?:提醒|通知|叫|喊)(?:一下)?(?:自己|我们|咱们|大家|我){_MORE}|(?:千万)?(?:不要|别)(?:忘记了?|忘了?)|记得|叫醒我"
)
_OPENING: Final = re.compile(
    rf"(?:{_POLITE}|{_ABOUT}|{_LINK})*+(?:{CALL})(?:(?:{_POLITE}|{_LINK})*+(?:{_AGAIN}))*+(?:{_LINK})*+"
)
_START: Final = re.compile(
    rf"(?:的(?:闹钟|闹铃|闹表)|的?{_ALARM}(?![^ ,。:!?]| ?我)|{_LINK}|的(?![士确])|{_ABOUT}|起(?=[, ]))*+"
)
_INTRODUCTION: Final = re.compile(
    rf"(?:{CALL}|{_POLITE}|{_LINK}|{_ABOUT}|{_SOON}|[在于从自约把将是和等(]|到了?|定在|约在|{_SET}(?<=[个条])|设置?|设定|定|创建|新建|添加|{_ALARM})*+"
)
_BEFORE: Final = re.compile(
    rf"(?:{_LINK}|{_ABOUT}|{_SOON}|在|于|从|是|定在|[(]|(?<=[ ,。;])(?:麻烦|拜托|请|记得|别忘了)(?:你|您)?)$"
)
_CLOSING: Final = re.compile(rf"(?:{CALL})$")
_CALLED: Final = re.compile(rf"(?:{CALL})(?:{_LINK}|[在于要])*$")
_CLOSING_POLITE: Final = re.compile(rf"(?:{_POLITE}|{_LINK})$")
_END: Final = re.compile(rf"(?:{_TAIL}|{_LINK})$")
_GAP: Final = re.compile(
    rf"(?:{_LINK}|[()的在于从自是和及与跟吧]|每逢|(?:at|on)(?![a-z])|{_ABOUT}|约|准时|那天|当天|开始|起|的?时候?|就|都|再|请)*+"
    rf"(?P<call>(?:(?:{_POLITE})*+(?:{CALL}))?)(?:{_LINK}|[(在于是]|请|{_ABOUT})*+"
)
_LONGEST: Final = 24
"""No call, tail or link is longer."""


def gap(text: str, start: int, end: int) -> str | None:
    """Tell what stands between two pieces: "" mere links, "call" a call to the bot, None the user's own words."""
    found = _GAP.fullmatch(text, start, end) if end - start <= 2 * _LONGEST else None
    if found is None:
        return None
    return "call" if found["call"] else ""


def called_after(text: str, end: int) -> bool:
    """Tell whether a call to the bot stands right after a place."""
    return bool(_OPENING.match(text, end))


def called_before(text: str, start: int) -> bool:
    """Tell whether a call to the bot stands right before a place."""
    return bool(_CALLED.search(text, max(start - _LONGEST, 0), start))


def leftover(text: str, folded: str, taken: Sequence[tuple[int, int]]) -> str:
    """Return the text without the taken spans and without the calls and politeness around them."""
    bounds = [0, *(place for span in taken for place in span), len(text)]
    segments = [*zip(bounds[::2], bounds[1::2], strict=True)]
    kept, pause = "", ""
    for number, (start, end) in enumerate(segments):
        first, last = number == 0, number == len(segments) - 1
        begin, stop = _trim(folded, start, end, first=first, last=last)
        words = text[begin:stop]
        if words:
            kept = f"{kept}{_between(kept, words, pause)}{words}"
        pause = folded[stop:end]
    return kept


def _trim(text: str, start: int, end: int, *, first: bool, last: bool) -> tuple[int, int]:
    if first and (greeting := _GREETING.match(text, start, end)):
        start = greeting.end()
    if first and not last and end - start <= 2 * _LONGEST and _INTRODUCTION.fullmatch(text, start, end):
        return end, end
    end = _trim_end(text, start, end, last=last)
    if not first and (begun := _START.match(text, start, end)):
        start = begun.end()
    opening = _OPENING.match(text, start, end)
    start = opening.end() if opening else start
    if (begun := _START.match(text, start, end)) and not (first and opening):
        start = begun.end()
    return start, max(start, _trim_end(text, start, end, last=last))


def _trim_end(text: str, start: int, end: int, *, last: bool) -> int:
    """Take away a closing call with its politeness, tails at the very end, and links before a time."""
    called = False
    while end > start:
        since = max(start, end - _LONGEST)
        found = _CLOSING.search(text, since, end)
        called = called or bool(found)
        found = found or (_END if last else _BEFORE).search(text, since, end)
        found = found or (_CLOSING_POLITE.search(text, since, end) if called else None)
        if found is None or found.start() == end:
            return end
        end = found.start()
    return end


def _between(left: str, right: str, pause: str) -> str:
    """Return what joins two pieces of the task, between which the time stood."""
    if not left:
        return ""
    if any(mark in pause for mark in ",;。"):
        return "，"
    return " " if " " in pause or (left[-1].isascii() and right[0].isascii()) else ""
