"""Reminders in chats: set, listed, moved, put off and cancelled, in both languages."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from dragoman.engine.handler import MessageHandler
from dragoman.engine.turn import NoWorld
from dragoman.model import Message, Say, Schedule
from dragoman.plugins import remind
from dragoman.testing.clock import FakeClock
from dragoman.testing.play import play
from dragoman.testing.stage import Stage

MORNING = dt.datetime(2026, 11, 26, 10, 0, tzinfo=dt.UTC).timestamp()
"""A Thursday, 10:00 in UTC."""
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def stage(zone: str = "UTC", **settings: Any) -> Stage:
    return Stage(remind.plugin, clock=FakeClock(MORNING), settings=remind.Settings(zone=zone, **settings))


async def at_home(**settings: Any) -> Stage:
    """A stage whose player has told a time zone."""
    play = stage(**settings)
    await play.say("my time zone is UTC")
    return play


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def pressable(message: Message, label: str) -> Any:
    return next(button for button in message.buttons if button.text == label)


async def said(play: Stage, text: str, **facts: Any) -> str:
    return "\n".join(texts(await play.say(text, **facts)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("remind me in 10 minutes to stretch", "OK, today, Thursday 26 November, 10:10: stretch"),
        ("Remind me tomorrow at 3pm to call mum", "OK, tomorrow, Friday 27 November, 15:00: call mum"),
        ("/remind tomorrow 9am call mum", "OK, tomorrow, Friday 27 November, 09:00: call mum"),
        ("call dad tomorrow at 6pm", "OK, tomorrow, Friday 27 November, 18:00: call dad"),
        ("明天下午3点提醒我开会", "好的，明天 11月27日 星期五 15:00：开会"),
        ("半小时后叫我", "好的，到时提醒你：今天 11月26日 星期四 10:30。"),
        ("/提醒明天9点交报告", "好的，明天 11月27日 星期五 09:00：交报告"),
        ("remind me at 5pm", "OK, I will remind you: today, Thursday 26 November, 17:00."),
    ],
)
async def test_what_was_understood_is_confirmed_in_the_persons_language(text: str, answer: str) -> None:
    assert await said(await at_home(), text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "every Friday at 17:30 send the report",
            "OK, every Friday at 17:30: send the report\nThe first time: tomorrow, Friday 27 November, 17:30.",
        ),
        ("每个工作日9:00站会", "好的，每个工作日 09:00：站会\n第一次：明天 11月27日 星期五 09:00。"),
    ],
)
async def test_a_repetition_is_confirmed_with_its_rule_and_its_first_time(text: str, answer: str) -> None:
    assert await said(await at_home(), text) == answer


async def test_a_reminder_comes_once_at_its_time() -> None:
    said = await play(remind.plugin, "remind me in 10 minutes to stretch", 599, 1, 86400.0, clock=FakeClock(MORNING))

    assert len(said) == 2
    assert said[1] == "⏰ stretch"


async def test_nothing_comes_before_its_time() -> None:
    play = await at_home()
    await play.say("remind me in 10 minutes to stretch")

    assert await play.wait(599) == []
    assert texts(await play.wait(1)) == ["⏰ stretch"]


async def test_a_repetition_comes_again_until_it_is_stopped() -> None:
    play = await at_home()
    await play.say("every day at 18:00 water the plants")

    first, second = await play.wait(2 * DAY)
    stopped = await play.press(pressable(second, "Stop"))

    assert (first.text, second.text) == ("⏰ water the plants", "⏰ water the plants")
    assert texts(stopped) == ["Stopped, it will not come again: water the plants"]
    assert await play.wait(7 * DAY) == []


async def test_a_reminder_without_a_task_says_that_it_is_time() -> None:
    play = await at_home()
    await play.say("半小时后叫我")

    assert texts(await play.wait(HOUR)) == ["⏰ 时间到了。"]


async def test_a_late_reminder_says_when_it_was_due() -> None:
    play = await at_home()
    await play.say("remind me in 10 minutes to stretch")

    assert texts(await play.away(HOUR)) == [
        "⏰ stretch\n(This comes late: it was due today, Thursday 26 November, 10:10.)"
    ]


async def test_a_reminder_that_is_a_minute_late_says_nothing_of_it() -> None:
    play = await at_home()
    await play.say("remind me in 10 minutes to stretch")

    assert texts(await play.away(11 * MINUTE)) == ["⏰ stretch"]


async def test_what_was_missed_of_a_repetition_comes_once() -> None:
    play = await at_home()
    await play.say("每天晚上8点吃药")

    assert texts(await play.away(3 * DAY)) == ["⏰ 吃药\n（提醒晚了，原定时间：昨天 11月28日 星期六 20:00。）"]


async def test_more_than_a_day_late_a_reminder_does_not_come() -> None:
    play = await at_home()
    await play.say("remind me in 10 minutes to stretch")

    assert await play.away(DAY + HOUR) == []
    assert play.set == {}


async def test_an_ambiguous_time_is_asked_about_and_a_button_answers() -> None:
    play = await at_home()

    [question] = await play.say("remind me tomorrow at 3 to call mum")
    afternoon = pressable(question, "tomorrow, Friday 27 November, 15:00")
    [answer] = await play.press(afternoon)

    assert question.text == "Tomorrow, Friday 27 November: 03:00 or 15:00?"
    assert answer.text == "OK, tomorrow, Friday 27 November, 15:00: call mum"


@pytest.mark.parametrize("answer", ["3pm", "15:00", "in the afternoon", "the second one", "afternoon"])
async def test_words_answer_an_ambiguous_time_too(answer: str) -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 3 to call mum")

    assert await said(play, answer) == "OK, tomorrow, Friday 27 November, 15:00: call mum"


@pytest.mark.parametrize("answer", ["下午", "下午3点", "第二个", "15:00"])
async def test_chinese_words_answer_an_ambiguous_time_too(answer: str) -> None:
    play = await at_home()
    await play.say("明天3点提醒我开会")

    assert await said(play, answer) == "好的，明天 11月27日 星期五 15:00：开会"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "I have a meeting at 3pm, remind me 10 minutes before",
            "today, Thursday 26 November, 14:50: I have a meeting",
        ),
        ("remind me an hour before the dentist tomorrow at 5pm", "tomorrow, Friday 27 November, 16:00: the dentist"),
        ("明天下午3点开会，提前10分钟提醒我", "明天 11月27日 星期五 14:50：开会"),
        ("提醒我 tomorrow 5pm 喝水", "明天 11月27日 星期五 17:00：喝水"),
        ("set a timer for 10 minutes", "today, Thursday 26 November, 10:10."),
    ],
)
async def test_times_before_others_and_beside_another_language_are_read(text: str, answer: str) -> None:
    assert (await said(await at_home(), text)).endswith(answer)


async def test_a_question_about_the_time_is_dropped_at_never_mind() -> None:
    play = await at_home()
    await play.say("remind me to call mum")

    assert await said(play, "never mind") == "OK, nothing changed."
    assert await said(play, "tomorrow") == ""


async def test_a_yes_with_conditions_is_none() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("delete all reminders")

    assert await said(play, "yes but keep the first") == ""
    assert len(play.set) == 1


async def test_an_ambiguous_repetition_keeps_its_rule() -> None:
    play = await at_home()

    [question] = await play.say("remind me every day at 3 to drink tea")
    [answer] = await play.press(question.buttons[0])

    assert answer.text.startswith("OK, every day at 15:00: drink tea")


async def test_a_time_that_has_passed_is_refused_kindly_and_a_later_one_is_taken() -> None:
    play = await at_home()

    refusal = await said(play, "remind me today at 9am to call mum")

    assert refusal == "That has passed: today, Thursday 26 November, 09:00. Which later time do you mean?"
    assert await said(play, "tomorrow") == "OK, tomorrow, Friday 27 November, 09:00: call mum"


async def test_without_a_time_it_asks_when_and_goes_on_with_the_answer() -> None:
    play = await at_home()

    assert await said(play, "提醒我给妈妈打电话") == "什么时候提醒你：给妈妈打电话"
    assert await said(play, "明天早上8点") == "好的，明天 11月27日 星期五 08:00：给妈妈打电话"


async def test_an_answer_that_is_no_time_is_asked_again_and_another_topic_is_left_alone() -> None:
    play = await at_home()
    await play.say("remind me to call mum")

    for words in ("soonish", "later"):
        assert (await said(play, words)).startswith("I did not understand that as a time.")
    assert await said(play, "what is the capital of France?") == ""
    assert await said(play, "tomorrow at 9am") == ""


async def test_a_command_is_no_answer_to_a_question() -> None:
    play = await at_home()
    await play.say("remind me to call mum")

    assert await said(play, "/remind tomorrow 9am buy milk") == "OK, tomorrow, Friday 27 November, 09:00: buy milk"


async def test_the_undo_button_takes_a_reminder_back() -> None:
    play = await at_home()

    [confirmation] = await play.say("remind me in 10 minutes to stretch")
    [undone] = await play.press(pressable(confirmation, "Undo"))

    assert undone.text == "Cancelled: stretch"
    assert await play.wait(HOUR) == []


async def test_where_nothing_can_be_pressed_a_buttons_value_is_typed() -> None:
    play = await at_home()

    [question] = await play.say("remind me tomorrow at 3 to call mum")
    [confirmation] = await play.say(question.buttons[1].value)

    assert confirmation.text == "OK, tomorrow, Friday 27 November, 15:00: call mum"
    assert await said(play, confirmation.buttons[0].value) == "Cancelled: call mum"


async def test_reminders_are_listed_in_the_order_of_their_times() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("every Friday at 17:30 send the report")
    await play.say("remind me in 2 hours to stretch")

    for words in ("my reminders", "list reminders", "what reminders do I have?", "/reminders"):
        assert await said(play, words) == (
            "Your reminders:\n\n"
            "1. today, Thursday 26 November, 12:00: stretch\n"
            "2. tomorrow, Friday 27 November, 09:00: call mum\n"
            "3. every Friday at 17:30 (next: tomorrow, Friday 27 November, 17:30): send the report\n\n"
            "Say for example: cancel reminder 1, or: move reminder 1 to 5pm"
        )
    assert (await said(play, "有哪些提醒")).startswith("你的提醒：\n\n1. 今天 11月26日 星期四 12:00：stretch\n")


async def test_without_reminders_the_list_says_how_to_set_one() -> None:
    assert await said(await at_home(), "我的提醒") == "你还没有提醒。可以这样说：明天上午9点提醒我给妈妈打电话"


async def test_a_number_means_the_list_that_was_shown_though_a_nearer_reminder_was_set_since() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("remind me tomorrow at 10am to buy milk")
    await play.say("my reminders")
    await play.say("remind me in 5 minutes to stretch")

    assert await said(play, "cancel reminder 1") == "Cancelled: call mum"
    assert await said(play, "cancel reminder 1") == "I find no such reminder."


async def test_without_a_list_a_number_means_the_order_of_the_times() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 10am to buy milk")
    await play.say("remind me tomorrow at 9am to call mum")

    assert await said(play, "取消提醒2") == "已取消：buy milk"


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("cancel the meeting reminder", "Cancelled: prepare the meeting"),
        ("delete reminder 1", "Cancelled: prepare the meeting"),
        ("please remove the second reminder", "Cancelled: call mum"),
        ("cancel reminders 1 and 2", "Cancelled: prepare the meeting; call mum"),
        ("cancel my reminder to call mum", "Cancelled: call mum"),
        ("delete reminder 7", "I find no such reminder."),
        ("cancel the dentist reminder", "I find no such reminder."),
        ("取消第二个提醒", "已取消：call mum"),
        ("把提醒1删掉", "已取消：prepare the meeting"),
    ],
)
async def test_reminders_are_cancelled_by_number_and_by_words(order: str, answer: str) -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to prepare the meeting")
    await play.say("remind me tomorrow at 10am to call mum")

    assert await said(play, order) == answer


async def test_a_chinese_reminder_is_cancelled_by_its_words() -> None:
    play = await at_home()
    await play.say("明天下午3点提醒我开会")
    await play.say("明天下午5点提醒我买菜")

    assert await said(play, "取消开会的提醒") == "已取消：开会"
    assert await said(play, "不要再提醒我买菜了") == "已取消：买菜"


async def test_words_that_fit_several_reminders_are_asked_about() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("remind me tomorrow at 10am to call dad")

    [question] = await play.say("cancel the call reminder")
    [answer] = await play.press(question.buttons[1])

    assert question.text.startswith("Which one do you mean?")
    assert answer.text == "Cancelled: call dad"


async def test_all_reminders_go_only_after_a_yes() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("remind me tomorrow at 10am to call dad")

    assert await said(play, "delete all reminders") == "Cancel all reminders (2)?"
    assert await said(play, "no") == "OK, nothing changed."
    assert len(play.set) == 2
    await play.say("取消所有提醒")
    assert await said(play, "是的") == "已取消全部 2 个提醒。"
    assert play.set == {}


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("cancel 2", "Cancelled: call dad"),
        ("取消1", "已取消：call mum"),
        ("cancel all", "Cancel all reminders (2)?"),
        ("全部取消", "要取消全部 2 个提醒吗？"),
    ],
)
async def test_right_after_the_list_short_words_mean_it_and_later_they_do_not(order: str, answer: str) -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("remind me tomorrow at 10am to call dad")

    assert await said(play, order) == ""
    await play.say("my reminders")
    await play.wait(HOUR)
    assert await said(play, order) == ""
    await play.say("my reminders")
    assert await said(play, order) == answer


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("move reminder 1 to 5pm", "OK, moved: tomorrow, Friday 27 November, 17:00: call mum"),
        ("change reminder 1 to Sunday 9am", "OK, moved: Sunday 29 November, 09:00: call mum"),
        ("postpone the mum reminder by 30 minutes", "OK, moved: tomorrow, Friday 27 November, 09:30: call mum"),
        ("把提醒1改到下午五点", "好的，已改到明天 11月27日 星期五 17:00：call mum"),
        ("把提醒1推迟一小时", "好的，已改到明天 11月27日 星期五 10:00：call mum"),
        ("把提醒1提前半小时", "好的，已改到明天 11月27日 星期五 08:30：call mum"),
        (
            "change reminder 1 to every Monday at 9am",
            "OK, changed to every Monday at 09:00: call mum\nThe next time: Monday 30 November, 09:00.",
        ),
        ("change reminder 7 to 5pm", "I find no such reminder."),
    ],
)
async def test_a_reminder_is_moved(order: str, answer: str) -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")

    assert await said(play, order) == answer


async def test_a_moved_reminder_comes_at_its_new_time_only() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("move reminder 1 to 5pm")

    assert await play.wait(DAY) == []
    assert texts(await play.wait(DAY)) == ["⏰ call mum"]


async def test_the_time_of_day_of_a_repetition_moves_as_a_whole_and_another_day_moves_one_time() -> None:
    play = await at_home()
    await play.say("every Friday at 17:30 send the report")

    whole = await said(play, "move reminder 1 to 6pm")
    once = await said(play, "move reminder 1 to Saturday 9am")
    await play.wait(3 * DAY)

    assert whole.startswith("OK, changed to every Friday at 18:00: send the report")
    assert once == (
        "OK, the next time is Saturday 28 November, 09:00: send the report\nAfter that every Friday at 18:00 as before."
    )
    assert "next: Friday 4 December, 18:00" in await said(play, "my reminders")


async def test_an_interval_of_weeks_moves_to_another_time_of_day_as_a_whole() -> None:
    play = await at_home()
    await play.say("remind me every 2 weeks on Monday at 9am to pay")

    moved = await said(play, "move reminder 1 to 8am")
    await play.wait(10 * DAY)

    assert moved == "OK, changed to every 2 weeks: pay\nThe next time: Monday 30 November, 08:00."
    assert "next: Monday 14 December, 08:00" in await said(play, "my reminders")


async def test_a_call_alone_asks_when() -> None:
    assert await said(await at_home(), "提醒我") == "什么时候提醒你？"
    assert await said(await at_home(), "remind me") == "When shall I remind you?"


async def test_moving_without_a_time_asks_for_it() -> None:
    play = await at_home()
    await play.say("remind me tomorrow at 9am to call mum")

    assert await said(play, "move reminder 1") == "To when?"
    assert await said(play, "5pm") == "OK, moved: tomorrow, Friday 27 November, 17:00: call mum"


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        ("snooze", 10),
        ("snooze 15 minutes", 15),
        ("snooze for an hour", 60),
        ("remind me again in 20 minutes", 20),
        ("remind me in 20 minutes", 20),
        ("later", 10),
        ("再过15分钟提醒我", 15),
        ("推迟10分钟", 10),
        ("稍后提醒", 10),
        ("稍后提醒我", 10),
    ],
)
async def test_a_reminder_that_came_is_put_off_in_words(words: str, minutes: int) -> None:
    play = await at_home()
    await play.say("remind me in 10 minutes to stretch")
    await play.wait(10 * MINUTE)

    await play.say(words)

    assert await play.wait(minutes * MINUTE - 1) == []
    assert texts(await play.wait(1)) == ["⏰ stretch"]


async def test_buttons_put_a_reminder_off_and_the_last_word_counts() -> None:
    play = await at_home()
    await play.say("remind me in 10 minutes to stretch")
    [reminder] = await play.wait(10 * MINUTE)

    [first] = await play.press(pressable(reminder, "Snooze 10 min"))
    await play.press(pressable(reminder, "Snooze 1 hour"))

    assert first.text == "OK, again today, Thursday 26 November, 10:20: stretch"
    assert await play.wait(59 * MINUTE) == []
    [again] = await play.wait(MINUTE)
    assert [button.text for button in again.buttons] == ["Done", "Snooze 10 min", "Snooze 1 hour"]
    assert texts(await play.press(pressable(again, "Done"))) == ["✅ stretch"]


@pytest.mark.parametrize("words", ["later", "not now", "稍后", "推迟10分钟", "等一下"])
async def test_where_no_reminder_came_lately_such_words_are_left_alone(words: str) -> None:
    assert await said(await at_home(), words) == ""


async def test_snooze_alone_says_that_there_is_nothing_to_put_off() -> None:
    assert await said(await at_home(), "snooze") == "There is no reminder to put off."


async def test_while_the_zone_is_a_guess_it_is_named_with_the_way_to_set_it() -> None:
    answer = await said(stage("Europe/Berlin"), "remind me at 5pm to call mum")

    assert answer == (
        "OK, today, Thursday 26 November, 17:00 (Europe/Berlin): call mum\n\n"
        "I do not know your time zone and took Europe/Berlin. "
        "Tell me, for example: my time zone is Europe/Berlin"
    )


async def test_the_platforms_zone_is_taken_for_granted() -> None:
    play = stage()

    assert await said(play, "remind me at 5pm to call mum", zone="Asia/Shanghai") == (
        "OK, tomorrow, Friday 27 November, 17:00: call mum"
    )
    [timer] = play.set.values()
    assert timer.at == MORNING + 23 * HOUR


@pytest.mark.parametrize(
    ("words", "zone"),
    [
        ("my time zone is Europe/Berlin", "Europe/Berlin"),
        ("My timezone is New York", "America/New_York"),
        ("I'm in San Francisco", "America/Los_Angeles"),
        ("/timezone Asia/Shanghai", "Asia/Shanghai"),
        ("/timezone UTC+8", "Etc/GMT-8"),
        ("我在上海", "Asia/Shanghai"),
        ("我的时区是东京", "Asia/Tokyo"),
        ("/时区 北京", "Asia/Shanghai"),
    ],
)
async def test_a_zone_that_is_said_is_remembered_and_counts_more_than_the_platforms(words: str, zone: str) -> None:
    play = stage()

    answer = await said(play, words, zone="America/Chicago")
    told = await said(play, "/timezone", zone="America/Chicago")

    assert zone in answer
    assert zone in told


async def test_a_zone_that_nobody_knows_is_said_so() -> None:
    assert "no time zone Atlantis" in await said(stage(), "my time zone is Atlantis")
    assert await said(stage(), "I am in a meeting") == ""
    assert await said(stage(), "我在公司") == ""


async def test_reminders_that_were_read_in_a_guessed_zone_follow_the_right_one_and_others_stay() -> None:
    play = stage()
    await play.say("remind me tomorrow at 9am to call mum")
    await play.say("every day at 18:00 water the plants")
    await play.say("remind me in 10 minutes to stretch")

    answer = await said(play, "我在上海")

    assert "11月27日 星期五 09:00：call mum" in answer
    assert "stretch" not in answer
    times = {timer.title: timer.at for timer in play.set.values()}
    assert times["call mum"] == MORNING + 15 * HOUR
    assert times["stretch"] == MORNING + 10 * MINUTE
    assert times["water the plants"] == MORNING + DAY


async def test_a_zone_can_be_forgotten() -> None:
    play = await at_home()

    assert await said(play, "/timezone auto", zone="Asia/Tokyo") == "OK, I forgot your time zone; now it is Asia/Tokyo."


async def test_nobody_sees_cancels_or_puts_off_anothers_reminder() -> None:
    play = stage()
    facts: dict[str, Any] = {"by": "kim", "name": "Kim", "chat_kind": "group", "zone": "UTC"}
    [confirmation] = await play.say("remind me in 10 minutes to stretch", **facts)

    assert texts(await play.press(confirmation.buttons[0], by="lee", chat_kind="group")) == [
        "That reminder is gone already."
    ]
    assert "You have no reminders" in await said(play, "my reminders", by="lee", chat_kind="group")
    [reminder] = await play.wait(10 * MINUTE)
    for button in reminder.buttons:
        assert texts(await play.press(button, by="lee", chat_kind="group")) == ["That reminder is somebody else's."]
    assert texts(await play.press(reminder.buttons[0], by="kim", chat_kind="group")) == ["✅ stretch"]


async def test_in_a_group_a_reminder_names_whose_it_is() -> None:
    play = stage()
    await play.say("remind me in 10 minutes to stretch", by="kim", chat_kind="group", zone="UTC", name="Kim")

    [reminder] = await play.wait(10 * MINUTE)

    assert reminder.text == "⏰ Kim: stretch"


async def test_in_a_group_a_task_with_a_time_is_no_reminder_without_a_call() -> None:
    assert await said(stage(), "call mum tomorrow at 9am", chat_kind="group") == ""
    assert await said(stage(), "明天下午3点开会", chat_kind="group") == ""


async def test_a_person_has_so_many_reminders_and_no_more() -> None:
    play = await at_home(most=2)
    for hour in (1, 2):
        await play.say(f"remind me in {hour} hours to stretch")

    assert (await said(play, "remind me in 3 hours to stretch")).startswith("You have 2 reminders already")
    assert len(play.set) == 2


async def test_a_long_text_is_cut() -> None:
    play = await at_home(max_text=20)

    await play.say("/remind tomorrow 9am " + "really " * 40)

    [timer] = play.set.values()
    assert len(timer.title) == 20
    assert timer.title.endswith("…")


async def test_a_repetition_of_less_than_a_minute_is_refused() -> None:
    play = await at_home()

    assert "once a minute" in await said(play, "remind me every 10 seconds to blink")
    assert play.set == {}


async def test_a_question_that_has_expired_says_so_when_its_button_is_pressed() -> None:
    play = await at_home()
    [question] = await play.say("remind me tomorrow at 3 to call mum")
    await play.wait(HOUR)

    assert texts(await play.press(question.buttons[0])) == ["That question is too old. Please say it again."]


async def test_in_ten_minutes_counts_from_when_it_was_said_though_it_was_heard_later() -> None:
    play = await at_home()
    event = play.event("remind me in 10 minutes to stretch")
    play.clock.advance(5 * MINUTE)

    await play.bring(event)

    [timer] = play.set.values()
    assert timer.at == MORNING + 10 * MINUTE


def phrases_of_the_page() -> list[str]:
    """What the page for users says that one may say."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "set-reminders.md"
    rows = [line.split("|")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return [phrase for row in rows for phrase in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("phrase", phrases_of_the_page())
async def test_whatever_the_page_for_users_says_is_understood(phrase: str) -> None:
    play = await at_home()
    for text in (
        "remind me tomorrow at 9am to write the report",
        "明天下午3点提醒我开会",
        "remind me in 1 minute to stretch",
    ):
        await play.say(text)
    await play.wait(MINUTE)

    answer = await said(play, phrase)

    assert answer
    assert answer not in {"I find no such reminder.", "没有找到这个提醒。"}
    assert not answer.startswith(("Which one", "你指的是", "That has passed"))


def test_the_page_for_users_has_phrases() -> None:
    assert len(phrases_of_the_page()) > 30


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("下班后提醒我买菜", "什么时候提醒你：买菜"),
        ("周五或者周六提醒我交报告", "什么时候提醒你：交报告"),
        ("一会儿提醒我喝水", "什么时候提醒你：喝水"),
        ("after work remind me to shop", "When shall I remind you: shop"),
        ("tomorrow or friday remind me to pay", "When shall I remind you: pay"),
    ],
)
async def test_a_time_before_the_call_that_nobody_can_place_is_asked_for(text: str, question: str) -> None:
    assert await said(await at_home(), text) == question


@pytest.mark.parametrize(
    ("texts_said", "answer"),
    [
        (("remind me tomorrow at 3 to call mum", "15"), "OK, tomorrow, Friday 27 November, 15:00: call mum"),
        (("remind me to call mum", "18"), "OK, today, Thursday 26 November, 18:00: call mum"),
        (("remind me at 5pm to run", "change reminder 1 to 7"), "OK, moved: today, Thursday 26 November, 19:00: run"),
    ],
)
async def test_a_bare_number_is_an_hour_where_a_time_is_asked_for(texts_said: tuple[str, str], answer: str) -> None:
    play = await at_home()
    await play.say(texts_said[0])

    assert await said(play, texts_said[1]) == answer


async def test_what_came_just_now_is_called_for_again_in_chinese() -> None:
    play = await at_home()
    await play.say("5分钟后提醒我喝水")
    await play.wait(5 * MINUTE)

    assert await said(play, "10分钟后再叫我") == "好的，今天 11月26日 星期四 10:15再提醒：喝水"


async def test_hong_kong_asks_in_its_own_words() -> None:
    assert await said(await at_home(), "聽晚八點提我食藥") == "好的，明天 11月27日 星期五 20:00：食藥"


class Deaf(NoWorld):
    """The world of a chat in which nobody can be spoken to unasked."""

    def unreachable(self) -> str:
        return "nobody would ever ask for it"


@pytest.mark.parametrize(
    ("text", "answer"), [("remind me in 10 minutes to stretch", "cannot remind you"), ("半小时后叫我", "没法")]
)
async def test_where_it_can_only_answer_it_promises_no_reminder(text: str, answer: str) -> None:
    bot = MessageHandler([remind.plugin], world=Deaf(), clock=lambda: 1_800_000_000.0)

    turn = await bot.turn(text)

    assert [answer in effect.message.text for effect in turn.effects if isinstance(effect, Say)] == [True]
    assert not any(isinstance(effect, Schedule) for effect in turn.effects)
