"""What people say about the reminders that they have: list, cancel, move, put off; and about their time zone."""

import re
from typing import Final, Literal

from dragoman.model import Value
from dragoman.plugins import phrases
from dragoman.plugins.remind import places

Verb = Literal["list", "cancel", "clear", "move", "later", "earlier", "snooze", "zone"]


class Order(Value):
    """One order; `which` says of which reminders, `when` to what time."""

    verb: Verb
    which: str = ""
    when: str = ""
    plain: bool = False
    """Whether the words mean nothing else, even where there is no such reminder: "snooze", but not "later"."""
    short: bool = False
    """Whether it means reminders only right after a list of them: "cancel 2"."""


_PLEASE: Final = r"(?:(?:please|pls|hey|ok|can you|could you|would you|will you|i want to|i'd like to)[\s,]+)*"
_THING: Final = r"(?:reminder|alarm|timer)s?"
_LIST_EN: Final = re.compile(
    rf"{_PLEASE}(?:(?:show|list|see|view|display|check|tell|give|get) )?(?:me )?(?:all )?(?:of )?(?:my |the )?"
    rf"(?:current |active |upcoming |pending |open |next )?{_THING}(?: list| please| that i have| i have)?"
    rf"|(?:what|which)(?: are| is)?(?: all)?(?: my| the)?(?: current| active| upcoming| pending| open)? {_THING}"
    r"(?: do i have| have i set| did i set| are set| are there| i have)?"
    rf"|do i have (?:any )?{_THING}(?: set)?|how many {_THING} do i have",
    re.IGNORECASE,
)
_CANCEL_EN: Final = re.compile(
    rf"{_PLEASE}(?:cancel|delete|remove|clear|drop|erase|kill|stop|disable|turn off|switch off|get rid of)\s+"
    rf"(?P<which>[^?\n]*\b{_THING}\b[^?\n]*|all of them)",
    re.IGNORECASE,
)
_ALL_EN: Final = re.compile(
    rf"(?:all|every|each)(?: of)?(?: my| the)? ?(?:{_THING}|of them|them)?|(?:my |the )?(?:reminder|alarm|timer)s",
    re.IGNORECASE,
)
_SHORT_EN: Final = re.compile(
    r"(?:cancel|delete|remove) (?:(?P<all>all(?: of them)?|everything)|(?:number |no\.? |#)?(?P<which>\d{1,3}))",
    re.IGNORECASE,
)
_MOVE_EN: Final = re.compile(
    rf"{_PLEASE}(?:move|change|reschedule|shift|postpone|push|edit|update|delay)(?: back| off| forward)?\s+"
    rf"(?P<which>[^?\n]*?\b{_THING}\b[^?\n]*?)(?:\s+(?P<how>to|until|till|for|at|by)\s+(?P<when>[^?\n]+))?",
    re.IGNORECASE,
)
_SNOOZE_EN: Final = re.compile(
    r"(?:please )?(?:snooze|remind me (?:again )?later|later|not now"
    r"|(?:remind me|again|ask me) in a (?:bit|while|moment|minute)|remind me again)(?: (?:it|this|that))?(?:,? please)?"
    r"(?:\s*(?:for|by|until|till|to|in)?\s+(?P<when>[^?\n]+))?",
    re.IGNORECASE,
)
_CALL_EN: Final = re.compile("remind (?:me|us) ", re.IGNORECASE)
_ZONE_EN: Final = re.compile(
    r"(?:set |change )?my (?:time ?zone|timezone|tz)(?: is| to|:)?\s+(?:now |in )?(?P<place>[^?\n]{2,40})"
    r"|(?:time ?zone|timezone|tz)[ :]+(?P<named>[^?\n]{2,40})",
    re.IGNORECASE,
)
_LIVE_EN: Final = re.compile(
    r"(?:hey,? |hi,? )?(?:i am|i'm|im|i live|we are|we're)(?: now| currently)? in (?P<place>[^?\n,]{2,30}?)"
    r"(?: now| at the moment)?",
    re.IGNORECASE,
)
_ZONE_ASKED: Final = re.compile(
    r"(?:what|which)(?:'s| is)? my (?:time ?zone|timezone)|我的时区(?:是什么|是哪个|是哪|是多少)|我在哪个时区",
    re.IGNORECASE,
)

_THING_ZH: Final = "(?:提醒事项|提醒|闹钟|闹铃)"
_ASK_ZH: Final = "(?:我要|我想|请|麻烦|帮我|给我|帮忙|你|能不能|可以)*"
_LIST_ZH: Final = re.compile(
    rf"{_ASK_ZH}(?:看一?看|看一?下|看|查看|查一?下|查询|显示|列出|列一?下|打开)?(?:一下)?(?:我)?(?:现在|目前|还|都)?(?:设了|设置了|定了|有)?(?:的)?"
    rf"(?:哪些|什么|所有的?|全部的?|多少|几个|没有)?(?:个)?{_THING_ZH}(?:列表|清单)?(?:有哪些|有什么|都有哪些|都有什么|有没有)?"
)
_CANCEL_ZH: Final = re.compile(
    rf"{_ASK_ZH}(?:把)?(?:取消|删除|删掉|删了|撤销|去掉|清除|清空|关闭|关掉|停止|停掉)(?:掉|一下)?(?P<which>.*{_THING_ZH}.*)"
    rf"|{_ASK_ZH}(?:把|将)?(?P<first>.*{_THING_ZH}.*?)(?:都|全部|全都|给)*(?:取消|删除|删掉|删了|撤销|去掉|清除|清空|关闭|关掉|停掉)(?:掉|了|一下|吧)*"
    r"|(?:不要|不用|不必|别)再?提醒我?(?P<task>.*?)了?"
)
_ALL_ZH: Final = re.compile("全部|所有|全都|一切|全删|都删|都取消|全取消|清空")
_SHORT_ZH: Final = re.compile(
    r"(?P<all>(?:取消|删除|删掉|清空)(?:全部|所有)|(?:全部|都)(?:取消|删除|删掉|删了)|清空)"
    r"|(?:取消|删除|删掉)第?(?P<which>\d{1,3})[个条号]?"
)
_MOVE_ZH: Final = re.compile(
    rf"{_ASK_ZH}(?:把|将)?(?P<which>.*?{_THING_ZH}.*?)(?:时间)?(?P<how>(?:推迟|提前|延后|延迟)(?:到|至)?|(?:延|改|挪|移动?|调整?|换|变更?|更改|修改)(?:到|至|为|成))(?P<when>[^?？\n]*)"
    rf"|{_ASK_ZH}(?:修改|更改|调整|改一?下|推迟|延后|改(?!天)|延迟)(?P<first>.*?{_THING_ZH}.*?)(?:(?:到|至|为|成)(?P<then>[^?？\n]+))?"
)
_CALL_ZH: Final = re.compile("提醒(?:一下)?(?:我|大家)|叫我")
"""What tells a new reminder from one that is moved: "提醒我把会议改到3点"."""
_SNOOZE_ZH: Final = re.compile(
    r"(?:请|麻烦)?(?:(?:推迟|延后|延迟|晚点|晚些|稍后|等会儿?|等一?下|过会儿?|过一会儿?|待会儿?|回头)(?:再)?(?:提醒|叫)?(?:我)?(?:一下|吧)?"
    r"|再(?:提醒|叫)我?(?:一次|一下)?|贪睡)(?P<when>\d[^?？\n]*|[零一二两三四五六七八九十半][^?？\n]*|到[^?？\n]+)?(?:再?(?:提醒|叫)我?)?(?:吧|一下)?"
)
_PLAIN: Final = re.compile("snooze|贪睡", re.IGNORECASE)
_ZONE_ZH: Final = re.compile(
    r"(?:把|将)?(?:(?P<mine>我的?)|设置?)?时区(?:设?为|改[为成到]|是|[:：])? ?(?P<place>[^?？\n的]{1,20}?)(?:吧|了)?"
)
_LIVE_ZH: Final = re.compile(r"我(?:现在|目前|人)?(?:住)?在(?P<place>[^?？\n,，]{1,12}?)(?:这边|这里|了)?")


def read(text: str, *, direct: bool) -> Order | None:
    """Read an order about what is there already; None when a text is none."""
    said = " ".join(text.split()).strip(" .。!！")
    if len(said) > 200:
        return None
    if _ZONE_ASKED.fullmatch(said.rstrip("?？")):
        return Order(verb="zone")
    if short := _SHORT_EN.fullmatch(said) or _SHORT_ZH.fullmatch(said):
        return Order(verb="clear" if short["all"] else "cancel", which=short["which"] or "", plain=True, short=True)
    return _chinese(said, direct=direct) if phrases.is_chinese(said) else _english(said, direct=direct)


def _english(said: str, *, direct: bool) -> Order | None:
    if _LIST_EN.fullmatch(said.rstrip(" ?")):
        return Order(verb="list")
    if cancel := _CANCEL_EN.fullmatch(said):
        every = _ALL_EN.fullmatch(cancel["which"].strip())
        return Order(verb="clear") if every else Order(verb="cancel", which=cancel["which"], plain=True)
    if move := _MOVE_EN.fullmatch(said):
        verb: Verb = "later" if (move["how"] or "").lower() == "by" else "move"
        return Order(verb=verb, which=move["which"], when=move["when"] or "")
    if (snooze := _SNOOZE_EN.fullmatch(said)) and not _CALL_EN.match(snooze["when"] or ""):
        return Order(verb="snooze", when=snooze["when"] or "", plain=bool(_PLAIN.search(said)))
    zone = _ZONE_EN.fullmatch(said)
    live = _LIVE_EN.fullmatch(said) if direct else None
    return _zone(zone["place"] if zone else None, zone["named"] if zone else live["place"] if live else None)


def _chinese(said: str, *, direct: bool) -> Order | None:
    close = re.sub(r"[\s。，,!！?？]", "", said)
    if _LIST_ZH.fullmatch(close.rstrip("吗呢呀啊吧")):
        return Order(verb="list")
    if cancel := _CANCEL_ZH.fullmatch(said):
        which = cancel["which"] or cancel["first"] or cancel["task"] or ""
        plain = cancel["task"] is None
        return Order(verb="clear") if _ALL_ZH.search(said) else Order(verb="cancel", which=which, plain=plain)
    if snooze := _SNOOZE_ZH.fullmatch(said):
        return Order(verb="snooze", when=(snooze["when"] or "").removeprefix("到"), plain=bool(_PLAIN.search(said)))
    if (move := _MOVE_ZH.fullmatch(said)) and not _CALL_ZH.search(move["which"] or ""):
        return _moved_zh(move)
    zone = _ZONE_ZH.fullmatch(said)
    live = _LIVE_ZH.fullmatch(said) if direct else None
    mine = zone["place"] if zone and zone["mine"] else None
    return _zone(mine, zone["place"] if zone else live["place"] if live else None)


def _moved_zh(move: re.Match[str]) -> Order:
    if move["first"] is not None:
        return Order(verb="move", which=move["first"], when=move["then"] or "")
    how, when = move["how"], move["when"]
    if how in {"推迟", "延后", "延迟", "延"}:
        return Order(verb="later", which=move["which"], when=when)
    if how == "提前":
        return Order(verb="earlier", which=move["which"], when=when)
    return Order(verb="move", which=move["which"], when=when)


def _zone(named: str | None, lived: str | None) -> Order | None:
    """Read a zone that is named as one's own; where somebody is counts only when it is a place that we know."""
    if named is not None:
        return Order(verb="zone", when=named.strip())
    if lived is not None and places.find(lived):
        return Order(verb="zone", when=lived.strip())
    return None
