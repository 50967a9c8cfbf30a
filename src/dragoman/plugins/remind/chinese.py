"""The Chinese words by which a reminder is asked for, and those by which a sentence is none."""

import re
from typing import Final

_LINK: Final = r"[\s,，。;；:：、!！~…]"
REQUEST: Final = re.compile(
    rf"(?>(?:{_LINK}|你好|您好|嗨|哈喽|hi|hello|ok|好的?|那么?|请|麻烦|拜托|劳驾|帮我|帮忙|给我|替我|帮个忙|能不能|可不可以|能否|可否|可以"
    r"|你能|能|到时候?|到点|届时|记得|务必|一定|准时|按时|就|再|要|都|也|先|(?:我)?(?:想要?|希望|需要|要)(?:你|您)?|你|您"
    r"|小助手|助手|机器人|一下|(?:提前|提早)[^,，。 ]{1,8})*)",
    re.IGNORECASE,
)
"""What may stand before a call."""

UNTIMED: Final = re.compile(
    r"(?!.*(?:[他她它您谁昨刚没]|你|老[板师婆公]|[爸妈哥姐弟]|同[事学]|朋友|经理|领导|主管|医生|护士|客户|秘书|助理|客服|手机|系统|软件|上次|已经|总是|经常))(?:请|麻烦)?"
    r"(?:(?:再?过|等)(?:一?会儿?|一下|一阵子?|[几两][^,，。]{1,4})|(?:一|待|等)会儿?|[晚迟]一?[点些]|稍后|回头|改天"
    r"|有[空时]间?(?:的时候)?|春节|中秋节?|端午节?|清明节?|元宵节?|除夕"
    r"|[^,，。!！?？]{1,12}(?:前|后|的时候)(?:[0-9一二三四五六七八九十半两]{1,3} ?(?:分钟|个?小时|天))?"
    r"|[^,，。!！?？]{1,8}(?:或者?|还是|[到至])[^,，。!！?？]{1,8})[\s,，]*再?"
)
"""A time before a call that no grammar knows: it is asked for, "下班后提醒我买菜"."""

_ME: Final = "(?:我们|咱们|我|俺|大家|各位)"
_MAKE: Final = (
    "(?:设置?|设定|定|订|建|创建|新建|添加|加|安排|来|弄|整|开)(?:一下|好|了)?(?:一?个|一条|条|个)?(?:新的?)?"
)
CALL: Final = re.compile(
    rf"提醒(?:一下|下)?{_ME}(?!的)|{_MAKE}[^,，。!！?？]{{0,16}}?(?:闹钟|闹铃|提醒(?!我)|定时器|倒计时)|(?:不要|别)让我忘(?:了|记)?"
    "|(?<!前)提提?我(?![的们們名前])",
)
HINT: Final = re.compile(
    rf"(?:叫|喊|唤)(?:一下|下|醒)?{_ME}|叫醒{_ME}|通知(?:一下|下)?{_ME}|(?:不要|别)(?:忘了|忘记|忘)|记得|记着|切记|(?:闹钟|闹铃)(?![没不响坏怎为是已])|^提醒",
)
AFTER_CALL: Final = re.compile(r"^(?:一下|一声|下|声)?[\s,，:：、]*(?:要|去(?=[\u4e00-\u9fff]{2}))?")
VAGUE: Final = re.compile("^(?:一下)?[^,，。]{0,12}(?:是谁|是什么|叫什么|怎么用|怎么说)[?？]?$")
PEOPLE: Final = re.compile(
    "(?:[他她它谁俺]|我|你|您|老板|[妈爸哥姐弟妹爷奶]|老师|同事|老婆|老公|朋友|经理|领导|主管|医生|客户|同学|秘书|助理|客服|手机|系统|人)"
    "(?:们|家)?(?:会|要|来|去|让|说|也|都|还|又|刚|已经|总|总是|经常)*$"
)
"""Who else reminds somebody: "老板今天提醒我明天开会"."""

AGAIN: Final = re.compile("提醒我|再[叫喊]我")
EARLY: Final = re.compile("(?!)")
"""The grammar knows these words itself."""
QUESTION: Final = re.compile(
    "[?？]|[吗么嘛]$|什么|谁|哪|怎么|怎样|如何|为什么|为啥|几[点个号天时月次]|多少|多久|多长|是不是|有没有|能不能|可不可以|要不要|行不行|好不好"
    "|对不对|会不会|还是|[了过]没|没有$|呢$"
)
TOLD: Final = re.compile(
    "了[吗么没]|没有?[?？]?$|过[吗没]|记得.*[吗么没][?？]?$|闹[钟铃].{0,12}(?:没响|不响|响了|坏了)"
)
"""After a call: whether it was made, which is a question and no request."""
EXPLICIT: Final = re.compile(
    r"\d{1,2} ?[:：点时]|\d{1,2} ?[ap]\.?m|[零一二两三四五六七八九十]+点|[零一二三四五六七八九十\d]+时(?!候|间)"
    r"|中午|正午|午夜",
    re.IGNORECASE,
)
NO_TASK: Final = re.compile(
    "(?:[我你您他她它咱谁这那现见到就才还也都很太真总老会没不是在有可行好对吧呢啊哦嗯的得]|大家|左右|前后|以前|之前|以后|之后|开始|结束|准时|已经|应该"
    "|必须|随时|一般|通常|刚|正|来|过来|回来|回家了|出来|为止|截止|快乐|开心|愉快|加油|早安|晚安|谢谢|再见|天气|播放|放(?:音乐|首|歌)|打开|关掉|翻译|查一|查询|搜|帮|告诉|[写讲放画][一个首篇封点张]|推荐|生成|总结)"
)
"""What a statement begins with, or an answer: "明天下午3点可以"."""
TASK_FIRST: Final = re.compile(
    "还(?=[款钱书信贷花房])|来(?=访)|到账|会议|会面|会诊|会客|有氧|行程|好友|见(?=[\u4e00-\u9fff]{2})|在线|得物|老师|老板|老婆|老公|老爸|老妈"
)
"""Tasks that begin like a statement."""
STATES: Final = re.compile(
    "[了过着]|[吧呢啊呀哦噢嘛]$|都是|就是|才[能会到]|天气|可以|没空|有空|有事|有课|的时候|因为|所以|觉得|应该|可能|大概|[听看]起来|快乐[!！~]*$"
)
"""What makes a statement of the rest."""


def is_task(words: str, *, leading: bool) -> bool:
    """Tell whether words are something to do; `leading`: their time stands at the beginning."""
    said = words.strip(" ,，。.!！~、:：")
    if not said or len(said) > (40 if leading else 20) or STATES.search(said):
        return False
    return bool(TASK_FIRST.match(said)) or NO_TASK.match(said) is None
