"""What times look like in Chinese, as patterns: tried in this order at each place of the folded text."""

import re
from typing import Final

from dragoman.when.chinese.amounts import AMOUNT
from dragoman.when.chinese.letters import DIGITS, NUMBER

WEEK: Final = "(?:周|星期|礼拜)"
_DAY: Final = "[一二三四五六日天]"
_AND: Final = "(?: ?[、,和及与跟/] ?| |以及|还有)"
_WHICH: Final = "(?:下下下|下下|下|这|本|上上|上)"
_OF_MONTH: Final = rf"{NUMBER}(?:号|日)"
# "周三三点" is Wednesday at 3, "每周三次" three times a week
_NO_DAY: Final = "(?! ?(?:[点时:刻](?![名餐评击间代])|[次遍回]))"
_DAYS: Final = f"(?:(?={_DAY})一?二?三?四?五?六?[日天]?(?<={_DAY})(?!天(?!气)){_NO_DAY}|[1-7](?![0-9]){_NO_DAY})"
_LISTED: Final = f"(?=$|[、,和及与跟/) 的早上下晚中午凌傍清半每提叫喊都各。]|[0-9]|{NUMBER}[点时])"
_WEEKDAYS: Final = (
    rf"(?P<days>{_DAYS}(?:{_AND}(?:{WEEK}{_DAYS}|(?!一大?早){_DAYS}{_LISTED})){{0,6}})"
    rf"(?:(?P<to> ?[到至~-] ?){WEEK}?(?P<last>[一二三四五六日天1-7]){_NO_DAY})?"
)
_NO_NUMBER: Final = (
    "(?![线楼门会房室店车桌机位厅馆院厂库仓窗柜电汽油选文公信码球字键台床铺箱船舰矿井档通路灯病游内均元语志程报历期]"
    "|前(?!提)|本(?!周|月))"
)
_PART: Final = (
    "凌晨|清晨|大清早|清早|一大早|大早上|一早|早晨|早上|早间|朝早|上午|上昼|午前|中午|正午|午间|晌午|下午|午后|下昼|晏昼|傍晚|黄昏"
    "|晚上|晚间|夜晚|夜间|夜里|深夜|大半夜|三更半夜|半夜|午夜|子夜|早晚"
)
_HK_PART: Final = f"[朝早晚](?= ?(?:$|[,。]|{NUMBER}[点时:半]|提我|叫我))"
_CLOCK_SIGNS: Final = "(?<=[^0-9])(?:[01]?[0-9]|2[0-4]):[0-5][0-9]"
_MEAL: Final = "(?![饭餐茶觉]|好(?:[^好]|$))"
_AMPM: Final = r"(?:am|pm|a\.m\.|p\.m\.)(?![a-z])"
_MINUTES: Final = (
    r"(?: ?(?P<half>半)(?:钟|(?![天个小]))| ?过? ?(?P<quarters>[一二两三123]) ?刻(?:钟)?"
    rf"| ?过? ?[零〇]?(?P<minute>{NUMBER}) ?分(?!钟|[享工组析])"
    r"|(?P<plain>[0-5][0-9]|[零〇][一二三四五六七八九1-9]|[二三四五]?十[一二三四五六七八九]?)"
    r"(?![0-9一二三四五六七八九个人块元斤份张本名位条件次遍天小年月号日周十点:.%]|分钟)|整(?![理改合顿修形个齐天体套装数点洁])|正(?![好在式常是确经规])"
    "|(?! ?[0-9一二三四五六七八九](?: ?$|[倍万亿%,。])))"
)

_UNIT: Final = "分钟|刻钟|小时|钟头|天|日|周|星期|礼拜|季度|季|月|年"


def _bare(pattern: str) -> str:
    """Take the names off a pattern's groups; a reference to one becomes its text."""
    return re.sub(r"[?]P<[a-z_0-9]+>", "?:", pattern).replace("(?P=sign)", "[-/.]")


_CALL: Final = "(?:提醒|叫|喊|通知|告诉我|记得|设)"
_SOON: Final = f"(?=再?{_CALL}| ?(?:$|[,。]))"
_VAGUE: Final = (
    rf"明后(?:两)?天|今明两天|几点(?!建议|意见)|{NUMBER} ?点(?:多(?!少)|来钟|出头)|过[几数][十百]?个?(?:{_UNIT})"
    rf"|(?:{NUMBER}?[几数多]|{NUMBER}个多)[十百]?个?(?:{_UNIT})(?:之后|以后|后)"
    rf"|{AMOUNT}(?:之前|以前|前(?!面))"
)
_UNSAYABLE: Final = (
    rf"倒数第(?![一1])|(?:下一?个?|{NUMBER}个?|最后一?个|第{NUMBER}个)(?:工作[日天]|交易日)|工作[日天](?=后|之后|以后|内|之内)"
    rf"|(?:农历|阴历|旧历)|正月(?=初|十|{NUMBER})|周[中内](?!部)|腊月|除夕|大年[初三]"
    rf"|每个?季度?的?(?:第|最后|初|末|底)|第{NUMBER}个?{WEEK}(?!{_DAY}|[1-7末])|单周|双周(?!的?{WEEK}(?:{_DAY}|[1-7]))|[单双]日(?!子)"
)
_MOVING: Final = "春节|元宵节?|清明节?|端午节?|七夕节?|中秋节?|重阳节?|冬至|腊八节?|母亲节|父亲节|感恩节|复活节"
_MONTH_SAID: Final = rf"(?={NUMBER} ?[号日]|[底末]|初|中旬|最后一天|第)"
_NO_DURATION: Final = "(?![间候段长差装尚光期刻代事机而常不])"
_BARE_NIGHT: Final = "晚(?![点些饭餐安操自会宴课班报期])"

PATTERNS: Final[dict[str, str]] = {
    # what looks like a time and cannot be said in our words: the phrase is refused, not guessed
    "refused": f"{_VAGUE}|{_UNSAYABLE}",
    "moving": _MOVING,
    "vague": rf"(?:[早午晚中]?[饭餐]|睡觉?|下班|上班|起床|放学|下?课|[会完])(?:之?后|之?前|以后|以前|时候?)"
    rf"(?=再?{_CALL})|(?<=明)早一[点些]|(?<![今明昨每])(?:晚|早|迟)一?(?:点|些)儿?(?:时候)?{_SOON}",
    "early": rf"(?:提前|提早)(?P<early>{AMOUNT})(?:钟|的时候)?(?= ?(?:$|[,。!]|给我|帮我|再|来)|{_CALL})"
    rf"|(?:之前|(?<![目以])前)(?P<before>{NUMBER} ?(?:分钟|个?小时|刻钟))(?= ?(?:$|[,。!]|给我|帮我|再|来)|{_CALL})",
    "after": rf"(?:再过|(?<![超不经通路])过|再等|等)? ?(?P<span>{AMOUNT}) ?钟?"
    "(?:之后|以后|过后|后(?![面台备悔勤]|续(?![费租约订签保])))"
    rf"|(?:再过|(?<![超不经通路])过|再等|等) ?(?P<wait>{AMOUNT})(?!前)"
    rf"|再 ?(?P<again>{AMOUNT})(?={_CALL})"
    rf"|(?:倒计时|定时|计时) ?(?P<timer>{AMOUNT})|(?P<alarm>{AMOUNT}(?<![日天周月年]))钟?的?"
    "(?:倒计时|计时|定时(?!器)|(?=闹钟|定时器))",
    # repetitions
    "times": rf"(?:每|一)(?:一|1)?个?(?P<unit>{_UNIT}) ?(?P<times>{NUMBER}) ?[次遍回]",
    "rate": rf"(?P<span>{AMOUNT})(?: ?[一1][次回]|钟?(?=(?:提醒|叫|喊|通知)(?:我|我们|大家)?一次))",
    "each_week": rf"(?:(?P<two>每?双周)的?|(?P<apart>每?隔|每|逢)(?:逢|到|当|个)?(?P<count>{NUMBER})?个?)"
    rf"(?={WEEK}[(]?(?:(?:{_DAY}|[1-7])(?! ?[次遍回])|末))",
    "holiday": "(?<![双第])(?:六一(?=儿童)|五一(?=劳动)|十一(?=国庆))?"
    "(?P<holiday>元旦|情人|妇女|劳动|五一|儿童|六一|教师|国庆|十一|双十一|双十二|平安夜|圣诞)节?"
    rf"(?=当天|那天|左右|[去要我回订买吃看给]|放(?!假)"
    rf"|的?(?:{_PART}"
    rf"|早(?![餐饭])|晚(?![餐饭会宴])|[0-9]|{NUMBER}点|闹钟)|{NUMBER}点|提醒|叫|喊|通知|记得|别忘| |,|。|$)",
    "each": rf"(?:每逢|每到|每当|每个|每|逢)(?={_OF_MONTH}|{NUMBER}月{NUMBER}|月[底末初]|年[底末初])",
    "interval": rf"(?:每 ?(?P<gap>隔|间隔)?|(?P<apart>隔)) ?(?P<span>{AMOUNT})(?: ?(?P<times>{NUMBER})[次遍回])?",
    "every": rf"(?:每|每?(?P<apart>隔))(?:一|1)?个?(?P<unit>{_UNIT}|整点)(?: ?(?P<times>{NUMBER})[次遍回])?"
    rf"|天天(?!向上|快乐|酷跑)|每(?=早|晚|夜)|每个(?={_PART})",
    "workdays": "(?:每?(?:个|周的?)?|每?逢|每[到当])(?:工作[日天]|平日(?!里)|上班日|上班的日子)",
    "weekend": "每?个?双休日",
    # days
    "ahead": "(?P<ahead>大大后天|大后天|大后日|后天|后日|明天|明日|明儿个?|今天|今日(?!头条|说法)|今儿个?|昨天|昨日"
    "|听日(?![语本文剧报])|琴日|寻日|后儿个?(?![子女童媳歌])"
    "|大前天|前天|次日|翌日)"
    f"(?!气)|第二(?P<next>天)(?={_PART}|{NUMBER}点)|(?P<short>[今明昨])(?=早|晨|晚|夜|午|朝|上午|中午|下午|傍晚|凌晨)"
    rf"|(?P<hk>听)(?={_HK_PART})",
    "nth": rf"(?P<which>第{NUMBER}|最后一|倒数第一)个?{WEEK}(?P<day>{_DAY})",
    "weekdays": rf"(?:(?P<which>{_WHICH})(?:一?个 ?|一(?={WEEK}))?(?:{WEEK}的?(?={WEEK}))?)?"
    rf"{WEEK}(?:末|[(]?{_WEEKDAYS})",
    "week": rf"(?P<which>{_WHICH})(?:一?个|一)? ?{WEEK}",
    "iso": "(?<![0-9./-])(?P<year>20[0-9]{2})(?P<sign>[-/.])(?P<month>[0-9]{1,2})(?P=sign)(?P<day>[0-9]{1,2})(?![0-9])",
    "same": "的?(?:这个?时候|这时|此时|此刻|这会儿|同一时间|现在这个时间)",
    "slash": "(?<![0-9a-z.-])(?P<month2>0[1-9]|1[0-2])-(?P<day2>0[1-9]|[12][0-9]|3[01])(?![0-9-])"
    "|(?<![0-9a-z.])(?P<month3>1[0-2]|0?[1-9])[.](?P<day3>3[01]|[12][0-9]|0?[1-9]) ?[号日]"
    rf"|(?<![0-9a-z./-])(?<![到版本])(?P<month4>1[0-2]|0?[1-9])[.](?P<day4>3[01]|[12][0-9]|0?[1-9])"
    rf"(?= ?(?:{_PART}|{_CLOCK_SIGNS}))"
    rf"|(?<![0-9a-z./-])(?P<month5>1[0-2]|0?[1-9])-(?P<day5>3[01]|[12][0-9]|0?[1-9])"
    rf"(?= ?(?:(?:{_PART}) ?{NUMBER} ?[点时:]|{_CLOCK_SIGNS}))"
    "|(?<![0-9a-z./%-])(?P<month>1[0-2]|0?[1-9])/(?P<day>3[01]|[12][0-9]|0?[1-9])(?![0-9a-z./%个])",
    "year": rf"(?P<named>明|今|后|去|来)年"
    rf"|(?P<year>20[0-9]{{2}}|2[0-9](?=年[01]?[0-9]月)|[{''.join(DIGITS)}]{{4}}) ?年",
    "date": "(?P<month>[0-9]{1,2})月(?P<day>[0-9]{1,2})(?![0-9个次点:年分万块元号日/.人天条份])",
    "month": rf"(?P<which>{_WHICH}|当)(?:一?个)?月|(?P<month>{NUMBER}) ?月 ?份?的?{_MONTH_SAID}",
    "whole_month": rf"(?P<month>{NUMBER}) ?月(?:份|(?![0-9号日底末初中内饼])(?!{NUMBER}[号日]))",
    "edge": "(?<=[月份])(?:[底末]|初(?![一二三四五六七八九十])|中旬)|月[底末初]|月中(?!旬|国)"
    "|(?:最后|倒数第)[一1]天|[第头][一1]天|首日",
    "year_end": "(?<=年)[底末初](?!级)|年[底末初](?!级)",
    "of_month": rf"(?:{NUMBER}[号日]? ?[、和及与跟] ?){{0,6}}{NUMBER} ?(?:号(?:当天)?|日){_NO_NUMBER}",
    "bare_day": rf"(?:(?<=每月)|(?<=每个月)|(?<=个月的)|(?<=每月的)){NUMBER}(?=$|[ ,、。早上中下晚提叫])",
    # times of day
    "to": rf"差 ?(?P<short>{NUMBER} ?分钟?|[一1]刻钟?|{NUMBER}) ?钟?(?:到|不到)? ?(?P<hour>{NUMBER}) ?点钟?"
    rf"|(?P<hour2>{NUMBER}) ?点钟? ?差 ?(?P<short2>{NUMBER} ?分钟?|[一1]刻钟?)",
    "shift": rf"早(?P<morning>{NUMBER})点?[、,]?晚(?P<evening>{NUMBER})(?![点:0-9])点?",
    "colon": "(?<![0-9:./a-z])(?P<hour>[01]?[0-9]|2[0-4]) ?: ?(?P<minute>[0-5][0-9])(?::[0-5][0-9])?(?![0-9:])"
    rf" ?(?:[点分整正](?!钟|[好在式常是确经规理改合顿修形个齐天体套装数点洁]))?(?: ?(?P<ampm>{_AMPM}))?",
    "dotted": "(?<=[午上早晚晨间]) ?(?P<hour>[01]?[0-9]|2[0-3])[.](?P<minute>[0-5][0-9])(?![0-9.元块万%米公千斤折])",
    "bare_hour": rf"(?:(?<=[上下中]午)|(?<=[早晚]上)|(?<=[今明昨][早晚])|(?<=凌晨)) ?(?P<hour>{NUMBER})"
    rf"(?= ?(?:$|[,。!]|{_CALL}))",
    "ampm": rf"(?<![0-9a-z.])(?P<hour>1[0-2]|[1-9]) ?(?P<ampm>{_AMPM})",
    "clock": rf"(?!一时(?! ?[0-9一二三四五整零]))(?P<hour>{NUMBER}) ?(?:点|时{_NO_DURATION})钟?{_MINUTES}",
    "part": rf"(?:{_PART}){_MEAL}|(?:早|晚)(?= ?(?:(?!一点){NUMBER} ?[点时]|[0-9]{{1,2}}:[0-9]))|早中晚"
    rf"|(?<=[一二三四五六日末号]){_BARE_NIGHT}|(?<=[今明昨每])(?:早晚|早|晨|晚|夜|午|朝)|(?<=听){_HK_PART}"
    rf"|(?<=天)(?!.一[点些])(?:早(?![点些饭餐安操自会课班报])|{_BARE_NIGHT})|(?P<ampm>{_AMPM})(?= ?[0-9])",
    "begin": "(?<=[天日一二三四五六末号点分半后月周期拜底])(?:开始|起)"
    rf"(?=[,、 ]?(?:每|天天|隔|周|工作日|{_PART})| ?(?:$|[。!]))",
}
READERS: Final = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}
ANY: Final = re.compile("|".join(f"(?P<{name}>{_bare(pattern)})" for name, pattern in PATTERNS.items()))
