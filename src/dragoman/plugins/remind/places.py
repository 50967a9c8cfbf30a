"""Time zones by the names that people give them: IANA's own, cities, offsets such as UTC+8, Chinese city names."""

import functools
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Final

REGIONS: Final = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
"""Where cities are; the other names are old aliases, and parts of a country."""
NO_CITIES: Final = frozenset({"west", "north", "south", "center", "wake", "easter"})

OTHERS: Final[Mapping[str, str]] = {
    "Asia/Shanghai": "beijing shenzhen guangzhou hangzhou chengdu nanjing wuhan tianjin suzhou xi'an xian xiamen china "
    "上海 北京 深圳 广州 杭州 成都 南京 武汉 天津 苏州 西安 厦门 重庆 长沙 青岛 大连 郑州 宁波 合肥 济南 "
    "福州 昆明 沈阳 哈尔滨 长春 石家庄 太原 南昌 南宁 贵阳 海口 兰州 银川 西宁 拉萨 乌鲁木齐 呼和浩特 无锡 "
    "佛山 东莞 珠海 三亚 温州 中国 国内",
    "Asia/Hong_Kong": "香港",
    "Asia/Macau": "澳门 macao",
    "Asia/Taipei": "台北 台湾 taiwan",
    "Asia/Tokyo": "osaka kyoto nagoya japan 东京 大阪 京都 名古屋 日本",
    "Asia/Seoul": "首尔 韩国 korea",
    "Asia/Singapore": "新加坡",
    "Asia/Kuala_Lumpur": "吉隆坡 马来西亚 malaysia",
    "Asia/Bangkok": "曼谷 泰国 thailand",
    "Asia/Ho_Chi_Minh": "胡志明市 河内 越南 hanoi vietnam",
    "Asia/Jakarta": "雅加达",
    "Asia/Manila": "马尼拉 菲律宾 philippines",
    "Asia/Kolkata": "mumbai delhi new_delhi bangalore bengaluru chennai hyderabad india ist "
    "孟买 新德里 德里 班加罗尔 印度",
    "Asia/Dubai": "abu_dhabi 迪拜 阿布扎比",
    "Europe/Istanbul": "伊斯坦布尔 turkey 土耳其",
    "Europe/Moscow": "莫斯科 saint_petersburg",
    "Europe/London": "england uk manchester edinburgh bst 伦敦 英国 爱丁堡 曼彻斯特",
    "Europe/Dublin": "都柏林 爱尔兰 ireland",
    "Europe/Paris": "lyon france 巴黎 法国",
    "Europe/Berlin": "munich hamburg frankfurt cologne stuttgart germany cet cest 柏林 慕尼黑 汉堡 法兰克福 德国",
    "Europe/Zurich": "geneva basel bern switzerland 苏黎世 日内瓦 瑞士",
    "Europe/Vienna": "austria 维也纳 奥地利",
    "Europe/Amsterdam": "rotterdam netherlands holland 阿姆斯特丹 荷兰",
    "Europe/Brussels": "belgium 布鲁塞尔 比利时",
    "Europe/Rome": "milan italy 罗马 米兰 意大利",
    "Europe/Madrid": "barcelona spain 马德里 巴塞罗那 西班牙",
    "Europe/Lisbon": "portugal 里斯本 葡萄牙",
    "Europe/Stockholm": "sweden 斯德哥尔摩 瑞典",
    "Europe/Copenhagen": "denmark 哥本哈根 丹麦",
    "Europe/Oslo": "norway 奥斯陆 挪威",
    "Europe/Helsinki": "finland 赫尔辛基 芬兰",
    "Europe/Warsaw": "krakow poland 华沙 波兰",
    "Europe/Prague": "布拉格 捷克",
    "Europe/Athens": "greece 雅典 希腊",
    "America/New_York": "boston washington miami atlanta philadelphia nyc est edt et eastern "
    "纽约 波士顿 华盛顿 迈阿密 亚特兰大 费城",
    "America/Chicago": "houston dallas austin cst cdt ct central 芝加哥 休斯敦 休斯顿 达拉斯 奥斯汀",
    "America/Denver": "mst mdt mt mountain 丹佛",
    "America/Los_Angeles": "san_francisco seattle portland san_diego san_jose las_vegas la sf pst pdt pt pacific "
    "洛杉矶 旧金山 西雅图 圣地亚哥 圣何塞 拉斯维加斯 硅谷",
    "America/Toronto": "ottawa montreal 多伦多 渥太华 蒙特利尔",
    "America/Vancouver": "温哥华",
    "America/Mexico_City": "墨西哥城",
    "America/Sao_Paulo": "rio_de_janeiro rio 圣保罗 里约热内卢",
    "America/Argentina/Buenos_Aires": "布宜诺斯艾利斯",
    "Australia/Sydney": "canberra 悉尼 堪培拉",
    "Australia/Melbourne": "墨尔本",
    "Pacific/Auckland": "wellington new_zealand 奥克兰 惠灵顿 新西兰",
    "Africa/Cairo": "开罗 埃及 egypt",
    "Africa/Johannesburg": "cape_town 约翰内斯堡 开普敦",
    "UTC": "utc gmt z 格林尼治 世界时",
}
"""What IANA has no name for, as people say it; Chinese names with and without 市."""

_OFFSET: Final = re.compile(r"(?:utc|gmt)?([+-])0?([0-9]|1[0-4])(?::?00)?")
_EAST: Final = re.compile(r"东([一二三四五六七八九]|十[一二]?)区?")
_NUMBERS: Final = {word: number for number, word in enumerate("一二三四五六七八九", 1)} | {
    "十": 10,
    "十一": 11,
    "十二": 12,
}


def find(name: str) -> str | None:
    """Return the IANA name of a zone for what somebody calls it; None when it is not known."""
    key = _key(name)
    if key in {"", "local"}:
        return None
    if offset := _OFFSET.fullmatch(key):
        return _fixed(int(offset[1] + offset[2]))
    if (east := _EAST.fullmatch(key)) and east[1] in _NUMBERS:
        return _fixed(_NUMBERS[east[1]])
    return _named().get(key) or _named().get(key.removesuffix("市"))


def _key(name: str) -> str:
    words = name.strip(" .,!?。，！？'\"“”").casefold().replace(" time zone", "").removesuffix(" time")
    for ending in ("时间", "时区"):
        words = words.removesuffix(ending) or words
    return "_".join(words.split())


def _fixed(hours: int) -> str:
    """Return the zone of a fixed offset; POSIX counts them westwards."""
    return "UTC" if not hours else f"Etc/GMT{-hours:+d}"


@functools.cache
def _named() -> Mapping[str, str]:
    """Return every known name, in lower case and with underscores, and the zone that it is for."""
    every = zoneinfo.available_timezones()
    names: dict[str, str] = {name.casefold(): name for name in every if "/" in name or name == "UTC"}
    for name in sorted(_cities(every), key=lambda name: (name.count("/"), name), reverse=True):
        names[name.rsplit("/", 1)[-1].casefold()] = name
    return names | {word: zone for zone, words in OTHERS.items() for word in words.split()}


def _cities(every: Iterable[str]) -> Iterable[str]:
    for name in every:
        region, _, city = name.partition("/")
        if region in REGIONS and city.casefold() not in NO_CITIES:
            yield name
