"""Which messages are reminders and which are not: to take an ordinary sentence for one costs trust."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.plugins import phrases, remind, rulebook, rules
from dragoman.plugins.remind import admission, orders
from dragoman.testing.clock import FakeClock
from dragoman.testing.stage import Stage

MORNING = dt.datetime(2026, 11, 26, 10, 0, tzinfo=dt.UTC).timestamp()

ORDINARY = """
    I was born on 3 March
    see you tomorrow at 3
    what time is it
    nobody calls me
    thanks, that reminds me of my holiday in May
    you remind me of my brother
    remind me what we said yesterday
    remind me why we do this at 5pm
    the meeting starts at 5pm tomorrow
    we have a meeting tomorrow at 9am
    I will be there at 8
    I get up at 7am every day
    it rains every Friday
    every day is a gift
    the bus runs every 10 minutes
    tomorrow at 3 works for me
    10:30 is fine
    at 5pm please
    3pm or 4pm?
    is the shop open at 9am?
    can you meet at 3pm tomorrow
    call me maybe
    I called mum yesterday at 5pm
    she reminded me at 9am
    don't remind me
    never mind, see you at 6pm
    dinner was great last night
    the train leaves at 10:45
    my flight lands at 18:30 on Sunday
    let's talk tomorrow at noon
    how many days until Christmas
    every time I call, nobody answers
    born at 5am on 2 June 1990
    john called at 9am
    version 10.30 is out
    the score was 3:2
    I need to leave at 5pm
    sounds good, tomorrow at 10am then
    did you remind me at 5?
    he will remind me tomorrow at 9
    I set an alarm for 7am but slept
    the alarm rang at 7am
    Who set the timer?
    happy birthday
    good night, see you every day
    meeting at 3pm was cancelled
    today at 5pm the store closes
    what reminders does Google have
    what's the weather tomorrow at 9am
    finished the report at 5pm
    woke up at 6am
    open from 9am to 5pm
    Monday to Friday 9:00 to 17:00
    time flies
    my birthday is on 5 May at noon
    translate: remind me tomorrow at 5
    I am in a meeting
    I'm in love
    later
    not now
    cancel my subscription
    delete all my files
    change the subject to sports
    move on to the next topic
    please write an email to Kim saying remind me tomorrow
    she said remind me at 5
    我明天下午有空
    明天下午3点开会吗？
    我是3月5日出生的
    明天见
    明天3点见
    现在几点了
    几点了
    今天星期几
    他提醒我明天开会
    老板今天提醒我明天开会
    谢谢你提醒我
    不用提醒我
    别叫我
    大家叫我小明
    叫我小王就好
    我妈叫我明天回家
    我记得明天有课
    你还记得昨天说的吗
    明天下午3点可以
    下午3点左右
    我每天早上跑步
    我们每周五下午5点开会
    天天开心
    每天都要开心
    每天快乐
    昨天晚上8点我在家
    今天早上7点起床了
    明天9点的飞机
    会议明天下午3点开始
    我8点到
    8点见
    10点了，该睡觉了
    火车10:45开
    你昨天提醒我了吗
    提醒我了吗
    3点半行不行
    五点可以吗
    周五下午有课
    下午两点半怎么样
    每天几点开门
    我的闹钟7点没响
    版本10.30发布了
    比分3:2
    生日快乐
    晚上8点吃了饭
    明天天气怎么样
    我在公司
    我在开会
    时区是什么意思
    取消订单
    删除所有文件
    把标题改到明天
    稍后
    等一下
    推迟10分钟
    ok see you at 5
    let's meet at 3pm
    lunch at noon?
    at noon I eat lunch
    it's 10:30 now
    10:30
    tomorrow at 9
    at 5pm
    5pm works
    every Monday
    I work every day from 9 to 5
    my class is every Tuesday at 6pm
    she calls me every day at 9
    pizza every Friday!
    Friday at 17:30 is good
    new version released at 10:00 today
    deadline is Friday 5pm
    the deadline is tomorrow at 5pm
    deploy failed at 10:32
    server restarted at 03:14
    order arrived at 9:15
    the game starts at 20:45
    game at 20:45 tomorrow
    flight BA123 at 10:45
    room 10:30 booked
    open at 9am daily
    what happened at 9am yesterday
    tell me a joke
    tell me the news at 9
    play music
    play some jazz at 8pm
    check the weather at 5pm in Berlin
    show me flights at 9am tomorrow to Rome
    book a table for two tomorrow at 7pm
    write a poem about 5pm
    write me an email about the meeting tomorrow at 9am
    translate "see you tomorrow at 9am"
    set the temperature to 21 at 7am
    turn on the light at 7am
    search for hotels tomorrow at 9am
    summarize the meeting at 9am
    help me prepare for the meeting tomorrow at 9am
    convert 5pm PST to CET
    how about 5pm
    maybe tomorrow at 3pm
    John's birthday party is on Saturday at 8pm
    Party on Saturday at 8pm
    remember when we met at 5pm
    don't forget who you are
    I forgot my keys at 9am
    reminder: be nice
    alarm clock broken
    I want a reminder app
    make me laugh
    add milk to the list
    create a file at 5pm
    schedule looks full tomorrow at 9am
    we need alarm systems
    timer broke
    wake me up when september ends
    notify me
    alert!
    he woke me up at 6:30
    thanks for waking me up at 6:30
    could you remind me who you are?
    don't remind me of that
    that song reminds me of 1999
    remind me how to install it
    你好
    早上好
    晚上8点了
    下午3点开会了
    现在下午3点
    下午3点
    明天9点
    每天
    每周一
    会议时间是明天下午3点
    我明天9点到公司
    他们每周五开会
    店里每天9点开门
    超市每天早上8点开门
    图书馆周一闭馆
    比赛晚上8点开始
    飞机10:45起飞
    我的生日是5月5日
    帮我查一下明天9点的航班
    帮我订明天晚上7点的餐厅
    写一封邮件说明天9点开会
    翻译：明天下午3点开会
    明天下午3点北京天气
    讲个笑话
    播放音乐
    晚上8点播放音乐
    他让我明天9点去医院
    妈妈说明天8点吃饭
    老师要求我们明天9点到校
    昨天提醒我的那个人是谁
    谁提醒我的
    什么是提醒
    提醒功能怎么用
    怎么设置提醒
    如何取消提醒
    你会提醒我吗
    别忘了我是谁
    不要忘记初心
    记得吗
    记得你昨天说过的话
    闹钟响了
    通知我了吗
    叫我爸爸
    叫我女王大人
    大家都叫我小王
    我在哪
    我在纽约出差
    我在家
    早上7点的闹钟没响
    明天见面聊
    周末愉快
    下周三之前给我
    三点水旁的字有哪些
    一点也不好
    有一点累
    半天没回我
    两点建议
    我有三点要说
    I have 3 exams next week
    my boss wants the report by 5pm
    sorry I was asleep at 9
    the wifi goes down every night at 10
    we close at 6pm on Sundays
    the show starts tonight at 8
    I usually have lunch at noon
    can we do 4pm instead?
    how about Friday at 3?
    what time is the 5pm meeting
    is 10am ok for you
    no, 3pm
    lol that was at 2am
    see you at 5
    see you next week
    the deadline is December 1st at midnight
    my kid was born at 3:15pm
    I slept until 11am today
    it's 5pm already
    it is 10:30 in Tokyo
    the store opens at 9am every day
    the class is on Mondays at 6pm
    my shift ends at 11pm
    I'll call you tomorrow at 5pm
    I'll remind you tomorrow at 9
    remind me who you are
    remind me how this works
    you remind me of 2019
    does this bot remind me automatically?
    could you explain what a reminder is
    what does remind me tomorrow do
    I forgot to set the alarm yesterday
    the alarm goes off at 6am every morning
    my alarm at 7 did not ring
    is there a timer app
    set theory is hard
    wake up at 6 they said
    call of duty tonight at 9 lol
    call it a day
    email me the file
    text me at 5pm
    write me a poem about 5 o'clock tea
    translate "tomorrow at 9am" into French
    convert 3pm EST to CET
    what is 5pm in London
    play music at 8pm
    turn on the lights at 7pm
    add 5 and 7
    schedule looks fine
    cancel culture is weird
    cancel my order
    delete the last message
    move the sofa to the left
    snoozed all day yesterday
    change my password
    change the channel to 5
    the report was due on Friday at 5pm
    flight delayed to 6:45pm
    he arrives Tuesday at 10am
    tickets cost 20 on Friday
    Happy New Year at midnight!
    2 pm works
    5 minutes later he left
    in 10 minutes we land
    every day at 9 I drink coffee
    good morning, it's Monday
    Friday at last
    running late, be there at 7:15
    dinner at 8?
    pizza at 7 sounds great
    meeting in 10 minutes!
    thanks for reminding me at 5
    我下周有三门考试
    老板要我五点前交报告
    不好意思我九点睡着了
    网络每天晚上十点都断
    我们周日六点关门
    演出今晚八点开始
    我一般中午十二点吃饭
    改成下午四点行吗
    周五下午三点怎么样
    十点可以吗
    不对，是下午三点
    凌晨两点还没睡
    五点见
    下周见
    截止日期是12月1日零点
    孩子下午3点15分出生的
    我今天睡到上午11点
    已经五点了
    东京现在是10:30
    商店每天早上九点开门
    瑜伽课每周一晚上6点
    我晚上11点下班
    我明天下午五点给你打电话
    我明天九点提醒你
    他每天提醒我吃药
    谢谢你昨天提醒我
    闹钟早上七点没响
    我昨天忘了定闹钟
    你们的提醒功能怎么用
    提醒我一下你是谁
    叫我女王
    叫我起床的是狗
    别叫我老师
    记得那年夏天
    记得我吗
    你记得昨天几点吗
    明天下雨吗
    帮我写一首关于下午三点的诗
    把“明天上午九点”翻译成英文
    北京时间下午三点是伦敦几点
    晚上八点放音乐
    5加7等于几
    删除上一条消息
    把沙发移到左边
    推迟了
    改密码
    航班延误到18:45
    他周二上午十点到
    周五票价20元
    零点新年快乐！
    下午两点可以的
    五分钟后他走了
    十分钟后降落
    每天九点我喝咖啡
    早上好，今天周一
    终于周五了
    堵车，七点一刻到
    晚上八点吃饭？
    七点吃披萨听起来不错
    还有十分钟开会！
    我每天早上七点起床
    她每周三下午三点有课
    聽日下晝三點開會嗎？
    聽日三點見
    我聽日下晝得閒
    前提我们都同意
    他提我名字了
    别提我的事
    不要再提我前男友
    老师提我回答问题
    老板周五或者周六提醒我
    他下班后提醒我
    下班后他提醒我
    我妈晚点提醒我
    医生手术前提醒我别吃东西
    after all these years photos remind me of you
    Ann or Tim remind me to smile
    when you remind me I get angry
    every time they remind me to pay I laugh
"""
"""What people say in a direct chat, and what is no reminder."""

REMINDERS = """
    remind me in 10 minutes to stretch
    Remind me tomorrow at 9am to call mum
    please remind me to buy milk at 6pm
    can you remind me to stand up every 2 hours?
    Could you please remind me about the dentist on Friday at 3pm?
    hey, remind me in an hour
    tomorrow at 9am remind me to pay rent
    in 20 minutes remind me to check the oven
    remind me to call mum
    remind me
    don't let me forget the milk at 5pm
    set a reminder for tomorrow 9am to call mum
    set an alarm for 7am
    wake me up at 6:30
    ping me at noon
    don't forget to call mum at 5pm
    reminder: tomorrow 9am dentist
    every Friday at 17:30 send the report
    every weekday at 9am standup
    9:00 standup
    call mum tomorrow at 9am
    send the invoice on Monday at 10am
    pay rent every month on the 1st
    every month on the 1st pay rent
    water the plants every 3 days
    tomorrow 9am dentist
    I want you to remind me at 5pm to leave
    I need a reminder tomorrow at 5pm
    remind us every Monday at 10am to fill in the timesheets
    明天下午3点提醒我开会
    每个工作日9:00站会
    半小时后叫我
    提醒我10分钟后关火
    请明天早上8点提醒我吃药
    明天7点叫我起床
    别忘了明天下午5点交报告
    记得明天9点开会
    设个明天7点的闹钟
    设一个十分钟的倒计时
    帮我定个闹钟，明天早上六点半
    每天晚上9点提醒我吃药
    每周五17:30发周报
    明天下午3点开会
    每月15号还信用卡
    每天早上8点吃药
    每2小时喝水
    提醒我给妈妈打电话
    明天9点开会，提醒我
    3月5号是妈妈生日，提醒我买花
    你能提醒我明天下午3点开会吗？
    到时候提醒我
    下午5点下班提醒我买菜
    麻烦你晚上8点提醒我一下
    提醒大家下午3点开会
    提醒：明天9点交作业
    walk the dog every day at 7am
    9am gym
    take the pills every day at 8am
    water the plants on Sunday at 10:00
    交房租 每月1号
    每周五下午5点写周报
    I have a meeting at 3pm, remind me 10 minutes before
    明天下午3点开会，提前10分钟提醒我
"""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("text", lines(ORDINARY))
async def test_an_ordinary_sentence_is_left_alone(text: str) -> None:
    stage = Stage(remind.plugin, clock=FakeClock(MORNING))

    assert await stage.say(text) == []
    assert stage.set == {}


@pytest.mark.parametrize("text", lines(REMINDERS))
def test_a_request_for_a_reminder_is_heard(text: str) -> None:
    assert admission.read(text, direct=True) is not None
    assert orders.read(text, direct=True) is None


@pytest.mark.parametrize("text", lines(REMINDERS))
def test_in_a_group_only_what_calls_the_bot_is_heard(text: str) -> None:
    wish, direct = admission.read(text, direct=False), admission.read(text, direct=True)

    assert direct is not None
    assert (wish is None) == (direct.kind == "bare")


def test_no_phrase_of_the_shipped_rules_is_taken_for_a_reminder() -> None:
    book = rulebook.read(rules.SHIPPED)
    said = list(book.exact)

    assert len(said) > 100
    assert [text for text in said if admission.read(text, direct=True) or orders.read(text, direct=True)] == []


def test_no_reminder_is_answered_by_a_shipped_rule() -> None:
    book = rulebook.read(rules.SHIPPED)

    assert [text for text in lines(REMINDERS) if book.find(phrases.normalise(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "a " * 5000,
        "remind me " * 2000,
        "提醒" * 5000,
        "明天9点" * 2000,
        "1" * 10_000,
        "的" * 9999,
        "你能" * 290 + "吃提醒我",
        "please " * 80 + "so what remind me",
        "把提醒" * 60,
        "可以麻烦你" * 30 + "取消",
    ],
)
def test_what_is_long_or_repeats_itself_is_no_reminder_and_ends(text: str) -> None:
    assert admission.read(text, direct=True) is None
    assert orders.read(text, direct=True) is None


PIECES = (
    "remind me|reminder|set|alarm|cancel|move|my|all|2|to|at|5pm|3|tomorrow|every|Friday|in|10 minutes|before|snooze"
    "|later|is|,|?|.|time zone|Berlin|not|don't|please|you|I|\n|提醒|我|取消|把|改到|明天|下午|3点|每天|闹钟|别|推迟"
    "|10分钟|在|上海|的|吗|，|。|了|再|时区|提前"
)
TEXTS = st.lists(st.sampled_from(PIECES.split("|")), max_size=40)


@given(TEXTS, st.sampled_from(["", " "]))
def test_any_text_is_read_without_an_error_and_gives_the_same_every_time(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    for direct in (True, False):
        assert admission.read(text, direct=direct) == admission.read(text, direct=direct)
        assert orders.read(text, direct=direct) == orders.read(text, direct=direct)
