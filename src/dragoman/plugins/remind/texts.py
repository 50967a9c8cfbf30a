"""What the reminders say, in both languages."""

from typing import Final

from dragoman.when.names import Language

TEXTS: Final[dict[str, dict[Language, str]]] = {
    "set": {"en": "OK, {when}: {what}", "zh": "好的，{when}：{what}"},
    "set_bare": {"en": "OK, I will remind you: {when}.", "zh": "好的，到时提醒你：{when}。"},
    "set_every": {"en": "OK, {rule}: {what}\nThe first time: {when}.", "zh": "好的，{rule}：{what}\n第一次：{when}。"},
    "moved": {"en": "OK, moved: {when}: {what}", "zh": "好的，已改到{when}：{what}"},
    "moved_every": {
        "en": "OK, changed to {rule}: {what}\nThe next time: {when}.",
        "zh": "好的，已改为{rule}：{what}\n下一次：{when}。",
    },
    "moved_once": {
        "en": "OK, the next time is {when}: {what}\nAfter that {rule} as before.",
        "zh": "好的，下一次改到{when}：{what}\n之后仍然是{rule}。",
    },
    "snoozed": {"en": "OK, again {when}: {what}", "zh": "好的，{when}再提醒：{what}"},
    "assumed": {
        "en": "I do not know your time zone and took {zone}. Tell me, for example: my time zone is Europe/Berlin",
        "zh": "我不知道你的时区，暂按 {zone} 计算。可以告诉我，例如：我的时区是上海",
    },
    "when": {"en": "When shall I remind you?", "zh": "什么时候提醒你？"},
    "when_of": {"en": "When shall I remind you: {what}", "zh": "什么时候提醒你：{what}"},
    "when_unclear": {
        "en": "I did not understand that as a time. Say for example: tomorrow at 9:00, or: every Friday at 17:30",
        "zh": "我没看懂这个时间。可以这样说：明天上午9点，或：每周五17:30",
    },
    "passed": {
        "en": "That has passed: {when}. Which later time do you mean?",
        "zh": "这个时间已经过去了：{when}。请说一个以后的时间。",
    },
    "model": {"en": "Did you mean {when}: {what}", "zh": "你的意思是{when}：{what}"},
    "model_no": {
        "en": "Then please say it with a time, for example: tomorrow at 9:00.",
        "zh": "那请带上时间再说一次，例如：明天上午9点。",
    },
    "full": {
        "en": "You have {most} reminders already, that is as many as I keep. Cancel one first: my reminders",
        "zh": "你已经有 {most} 个提醒，达到上限了。请先取消一个，发送：我的提醒",
    },
    "unreachable": {
        "en": "I can only answer here, not write to you by myself, so I cannot remind you in this chat.",
        "zh": "在这里我只能回复，不能主动给你发消息，所以没法在这个对话里提醒你。",
    },
    "list": {"en": "Your reminders:", "zh": "你的提醒："},
    "none": {
        "en": "You have no reminders. Say for example: remind me tomorrow at 9:00 to call mum",
        "zh": "你还没有提醒。可以这样说：明天上午9点提醒我给妈妈打电话",
    },
    "how": {
        "en": "Say for example: cancel reminder 1, or: move reminder 1 to 5pm",
        "zh": "可以这样说：取消提醒1，或：把提醒1改到下午5点",
    },
    "cancelled": {"en": "Cancelled: {what}", "zh": "已取消：{what}"},
    "gone": {"en": "That reminder is gone already.", "zh": "这个提醒已经不在了。"},
    "no_such": {"en": "I find no such reminder.", "zh": "没有找到这个提醒。"},
    "which": {"en": "Which one do you mean?", "zh": "你指的是哪一个？"},
    "all": {"en": "Cancel all reminders ({count})?", "zh": "要取消全部 {count} 个提醒吗？"},
    "all_done": {"en": "All reminders are cancelled ({count}).", "zh": "已取消全部 {count} 个提醒。"},
    "kept": {"en": "OK, nothing changed.", "zh": "好的，没有改动。"},
    "move_when": {"en": "To when?", "zh": "改到什么时候？"},
    "fired": {"en": "⏰ {what}", "zh": "⏰ {what}"},
    "late": {"en": "(This comes late: it was due {when}.)", "zh": "（提醒晚了，原定时间：{when}。）"},
    "untitled": {"en": "(no text)", "zh": "（没有内容）"},
    "time_is_up": {"en": "It is time.", "zh": "时间到了。"},
    "done": {"en": "✅ {what}", "zh": "✅ {what}"},
    "stopped": {"en": "Stopped, it will not come again: {what}", "zh": "已停止，不会再提醒：{what}"},
    "no_snooze": {"en": "There is no reminder to put off.", "zh": "现在没有可以推迟的提醒。"},
    "forgotten": {"en": "I no longer know that reminder.", "zh": "这个提醒已经太久，我不记得了。"},
    "not_yours": {"en": "That reminder is somebody else's.", "zh": "这是别人的提醒。"},
    "expired": {"en": "That question is too old. Please say it again.", "zh": "这个问题已经过期，请再说一次。"},
    "zone": {
        "en": "OK, your time zone is {zone}. It is {when} there.",
        "zh": "好的，你的时区是 {zone}，那里现在是 {when}。",
    },
    "zone_moved": {"en": "Your reminders follow it:", "zh": "你的提醒已随之调整："},
    "zone_auto": {
        "en": "OK, I forgot your time zone; now it is {zone}.",
        "zh": "好的，已忘记你的时区，现在使用 {zone}。",
    },
    "zone_now": {
        "en": "Your time zone is {zone}; it is {when} there. Change it, for example: my time zone is Europe/Berlin",
        "zh": "你的时区是 {zone}，那里现在是 {when}。可以修改，例如：我的时区是上海",
    },
    "zone_unknown": {
        "en": "I know no time zone {name}. Say a city, or a name such as Europe/Berlin.",
        "zh": "我不认识时区“{name}”。请说一个城市，或像 Asia/Shanghai 这样的名称。",
    },
}


def word(name: str, language: Language, /, **values: object) -> str:
    """Say a text with its values put in."""
    return TEXTS[name][language].format(**values)
