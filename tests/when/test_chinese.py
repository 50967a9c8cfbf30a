"""Chinese phrases: the table in `chinese.txt`, and what holds for every text."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.when.effort import effort

from dragoman.when import words
from dragoman.when.chinese import find
from dragoman.when.place import place
from dragoman.when.render import render
from dragoman.when.spec import Found, Reading

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = dt.datetime(2026, 11, 25, 10, tzinfo=SHANGHAI)
LETTERS = (
    "今明后大昨天早上下中午晚凌晨点半刻分钟小时个周星期礼拜末工作日月号年底初每隔两三四五六七八九十百千零〇一二廿俩第最的"
    "再过等之以前提醒我叫请别忘了把在从到至和及、，。：:/-~ 0123456789amp点點鐘後週開會"
)
FULL_WIDTH = {ord(letter): chr(ord(letter) + 0xFEE0) for letter in "0123456789:"}
SENTENCES = st.text(st.sampled_from(LETTERS), max_size=60) | st.text(max_size=60)


def phrases() -> Iterator[tuple[dt.datetime, list[str]]]:
    now = NOW
    for line in (Path(__file__).parent / "chinese.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            day, clock, zone = line.removeprefix("== ").split()
            now = dt.datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=ZoneInfo(zone))
        elif line and not line.startswith("#"):
            yield now, [*(cell.strip() for cell in line.split("|"))]


PHRASES = [*phrases()]


@pytest.mark.parametrize(("now", "row"), PHRASES, ids=[f"{row[0]} ({now:%m-%d %H:%M})" for now, row in PHRASES])
def test_a_phrase_means_what_the_table_says(now: dt.datetime, row: list[str]) -> None:
    text, at, every, what = row
    found = find(text)

    assert summary(found, now) == ((at, every, what) if at != "none" else ("none", "", ""))


def summary(found: Found | None, now: dt.datetime) -> tuple[str, str, str]:
    if found is None:
        return "none", "", ""
    zone = now.tzinfo
    assert isinstance(zone, ZoneInfo)
    reading = place(found, now, zone, "zh")
    return when(reading), reading.every or "", reading.what


def when(reading: Reading) -> str:
    if reading.at:
        return short(reading.at)
    return f"? {', '.join(map(short, reading.choices))}" if reading.choices else "refused"


def short(at: str) -> str:
    return at[:19].replace("T", " ").removesuffix(":00")


DAYS = {
    "今天": (2026, 11, 25),
    "明天": (2026, 11, 26),
    "大后天": (2026, 11, 28),
    "周五": (2026, 11, 27),
    "这周六": (2026, 11, 28),
    "下周一": (2026, 11, 30),
    "下下周三": (2026, 12, 9),
    "星期天": (2026, 11, 29),
    "下礼拜二": (2026, 12, 1),
    "周末": (2026, 11, 28),
    "下周星期四": (2026, 12, 3),
    "一周后的周五": (2026, 12, 4),
    "两周后": (2026, 12, 9),
    "28号": (2026, 11, 28),
    "12月3号": (2026, 12, 3),
    "十二月三日": (2026, 12, 3),
    "下个月8号": (2026, 12, 8),
    "月底": (2026, 11, 30),
    "年底": (2026, 12, 31),
    "明年2月3号": (2027, 2, 3),
    "2027年1月5日": (2027, 1, 5),
}
TIMES = {
    "上午9点": (9, 0),
    "早上八点半": (8, 30),
    "下午3点": (15, 0),
    "下午三点一刻": (15, 15),
    "下午3点20": (15, 20),
    "晚上8点": (20, 0),
    "晚上7:30": (19, 30),
    "中午1点": (13, 0),
    "凌晨2点": (2, 0),
    "傍晚6点": (18, 0),
    "15:30": (15, 30),
    "十六点三十分": (16, 30),
    "晚8点": (20, 0),
    "早9点半": (9, 30),
    "上午十点整": (10, 0),
    "下午差十分四点": (15, 50),
    "10点零5分": (10, 5),
    "早上": (9, 0),
    "8点": (8, 0),
}
TASKS = (
    *("开会", "交3份报告", "去305开会", "给张三打电话", "买5个苹果", "去3号楼取快递", "看《三体》第2季", "和客户吃饭"),
    *("请假", "叫外卖", "跑步30分钟", "去医院复查", "准备下周的材料", "订3月的机票", "买一点水果", "整理三点建议"),
    *("把文件发给李四", "问老板几点开会", "查看10号线时刻表", "早点睡觉", "晚饭", "听晚会", "看今日头条"),
    *("上线v2.3.1", "中秋备货", "看天天向上", "完成100个俯卧撑", "要合同", "起床", "提醒小王交报告"),
)
FORMS = (
    "{day}{time}提醒我{task}",
    "提醒我{day}{time}{task}",
    "{day}{time}{task}",
    "{day} {time} {task}",
    "请{day}{time}叫我{task}",
    "提醒我{task}，{day}{time}",
    "{task} {day}{time}",
    "麻烦{day}{time}提醒一下我{task}，谢谢",
    "{day}的{time}提醒我{task}",
    "帮我设个{day}{time}的闹钟，{task}",
    "提醒我在{day}{time}{task}",
    "{day}提醒我{time}{task}",
    "记得{day}{time}提醒我{task}哦",
    "别忘了{day}{time}{task}！",
    "{day}{time}左右{task}",
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([*DAYS]), st.sampled_from([*TIMES]), st.sampled_from(TASKS), st.sampled_from(FORMS))
def test_day_time_and_task_are_told_apart_in_every_order(day: str, clock: str, task: str, form: str) -> None:
    early = NOW.replace(hour=0, minute=30)

    found = find(form.format(day=day, time=clock, task=task))

    assert found is not None
    assert found.what == task
    assert place(found, early, SHANGHAI, "zh").at == dt.datetime(*DAYS[day], *TIMES[clock], tzinfo=SHANGHAI).isoformat()


PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "reminders.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Chinese\n")[2].partition("\n## ")[0]
DOCUMENTED = re.findall(r"^\| ([^|]+) \|", SECTION.partition("**The time of day.**")[0], re.MULTILINE)
REFUSED = re.findall(r"[(]([^()]+)[)]", SECTION.partition("**Not understood**")[2].replace("\n", ""))


@pytest.mark.parametrize("phrase", [phrase for cell in DOCUMENTED if cell != "phrase" for phrase in cell.split(" · ")])
def test_a_phrase_of_the_page_is_understood(phrase: str) -> None:
    assert find(phrase) is not None


@pytest.mark.parametrize("phrase", [phrase.strip() for listed in REFUSED for phrase in listed.split(", ")])
def test_what_the_page_calls_not_understood_is_not(phrase: str) -> None:
    assert find(phrase) is None


def test_the_table_is_long() -> None:
    assert len(PHRASES) >= 300
    assert len({(now, row[0]) for now, row in PHRASES}) == len(PHRASES)


@settings(max_examples=600, deadline=None)
@given(SENTENCES)
def test_any_text_is_found_or_not_and_never_breaks(text: str) -> None:
    found = find(text)

    assert found is None or (found.spec.after or found.spec.day or found.spec.clock or found.spec.every)


@settings(max_examples=300, deadline=None)
@given(SENTENCES)
def test_what_is_found_can_be_put_on_the_calendar(text: str) -> None:
    found = find(text)
    if found is None:
        return

    reading = place(found, NOW, SHANGHAI, "zh")

    assert bool(reading.at) != bool(reading.ask)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10 * 365 * 24 * 60))
def test_a_time_that_we_write_is_read_back(minutes: int) -> None:
    at = NOW + dt.timedelta(minutes=minutes)

    found = find(f"提醒我{render(at, NOW, SHANGHAI, 'zh')} 开会")

    assert found is not None
    assert found.what == "开会"
    assert place(found, NOW, SHANGHAI, "zh").at == at.isoformat()


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(categories=["Lo"], max_codepoint=0x4DFF, min_codepoint=0x3400), min_size=1, max_size=20))
def test_the_task_stays_as_it_was_written(task: str) -> None:
    found = find(f"明天下午3点提醒我{task}")

    assert found is not None
    assert found.what == task


@pytest.mark.parametrize(
    "piece",
    [
        "一",
        "十",
        "1",
        "9点",
        "9点、",
        "每天",
        "提醒我",
        "请你",
        "的时候",
        "明天",
        "周一、",
        "1号、",
        "再过1",
        "3:00",
        "帮我请你",
        " ",
    ],
)
@pytest.mark.parametrize("ending", ["", "x", "明天3点"])
def test_a_long_text_is_read_in_no_time(piece: str, ending: str) -> None:
    text = (piece * 2000)[: 2000 - len(ending)] + ending

    assert effort(lambda: find(text)) < 4  # it is 1 at most


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("明天下午3点提醒我开会", "2026-11-26T15:00:00+08:00", "开会"),
        ("下周一 9am 站会", "2026-11-30T09:00:00+08:00", "站会"),
        ("周五 at 3pm 开会", "2026-11-27T15:00:00+08:00", "开会"),
        ("remind me tomorrow at 3pm 交报告", "2026-11-26T15:00:00+08:00", "交报告"),
        ("明天3点和4点 meeting at 5pm", None, ""),
    ],
)
def test_a_text_in_both_languages_is_read_by_the_one_that_names_the_time(text: str, at: str | None, what: str) -> None:
    reading = words.read(text, NOW, SHANGHAI)

    assert (reading.at, reading.what) == (at, what)


@pytest.mark.parametrize(
    ("simplified", "other"),
    [
        ("下周三下午3点半开会", "下週三下午3點半開會"),
        ("礼拜五晚上8点", "禮拜五晚上8點"),
        ("两个钟头后", "兩個鐘頭後"),
        ("明天15:30", "明天15：30"),
        ("每个月15号", "每個月15號".translate(FULL_WIDTH)),
        ("过20分钟", "過20分鐘"),
    ],
)
def test_traditional_and_full_width_letters_read_alike(simplified: str, other: str) -> None:
    one, two = find(simplified), find(other)

    assert one is not None
    assert two is not None
    assert one.spec == two.spec
