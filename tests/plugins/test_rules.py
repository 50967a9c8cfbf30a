"""The rules plugin: the rules that ship, what an answer may contain, and editing while the bot runs."""

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from dragoman.engine import route
from dragoman.engine.handler import MessageHandler, event_of
from dragoman.engine.plugin import Loaded
from dragoman.engine.turn import Turn
from dragoman.errors import PluginError
from dragoman.model import Answer, Event, Say, Sender
from dragoman.plugins import rulebook, rules
from dragoman.testing.clock import FakeClock
from dragoman.testing.logs import captured
from dragoman.testing.play import play

AT_NINE = FakeClock(1_772_528_700.0)
"""2026-03-03 09:05 UTC, a Tuesday."""


def rewrite(path: Path, text: str) -> None:
    """Write a file so that its time differs from the last one, however fast the test runs."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    rewrite(path, "- {match: ping, answer: pong}\n")
    return path


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("time", "It is 09:05 (UTC)."),
        ("What time is it?", "It is 09:05 (UTC)."),
        ("WHAT\u2019S  the time", "It is 09:05 (UTC)."),
        ("几点了\uff1f", "现在是 09:05\uff08UTC\uff09。"),
        ("date", "Today is Tuesday, 3 March 2026 (UTC)."),
        ("今天星期几", "今天是 2026年3月3日 星期二\uff08UTC\uff09。"),
        ("hello", "Hello there! Write **help** to see what I answer."),
        ("bye", "Goodbye there!"),
    ],
)
async def test_the_shipped_rules_answer_in_the_language_of_the_question(text: str, answer: str) -> None:
    assert await play(rules.plugin, text, clock=AT_NINE) == [answer]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("help", "what can you do"),
        ("/help", "what can you do"),
        ("帮助", "你能做什么"),
        ("/start", "I am Dragoman"),
        ("what can you do?", "decided by plugins"),
        ("你能做什么", "由插件决定"),
        ("Who are you?", "self-hosted"),
        ("你是谁", "自己部署"),
        ("How do I connect a platform?", "dragoman.toml"),
        ("how can I connect my Telegram bot", "dragoman.toml"),
        ("怎么连接 Slack", "dragoman.toml"),
        ("is my data safe", "operator's own server"),
        ("我的数据安全吗", "服务器的数据库"),
        ("when do you open", "around the clock"),
        ("请问营业时间是\uff1f", "全天候"),
    ],
)
async def test_the_shipped_rules_know_the_frequent_questions(text: str, part: str) -> None:
    (answer,) = await play(rules.plugin, text)
    assert part in answer


@pytest.mark.parametrize("text", ["this is not a question of ours", "timely help", "", "\uff1f\uff01", "helpme"])
async def test_what_no_rule_knows_is_left_to_the_next_plugin(text: str) -> None:
    assert await play(rules.plugin, text) == []


def test_every_button_that_ships_leads_to_a_rule() -> None:
    book = rulebook.read(rules.SHIPPED)
    shipped = {id(rule): rule for rule in book.exact.values()}.values()
    texts = [text for rule in shipped for text in (*rule.buttons.en, *rule.buttons.zh)]
    assert texts
    assert [text for text in texts if book.find(text) is None] == []


async def answered(event: Event) -> Turn:
    turn = Turn("t", event, now=AT_NINE())
    await route.handle(turn, [Loaded(name="rules", plugin=rules.plugin, settings=rules.Settings())])
    return turn


async def test_a_pressed_button_is_answered_as_if_its_text_were_said(event: Event) -> None:
    turn = await answered(event)
    assert turn.effects[0] == Answer(interaction_id="i1")
    assert isinstance(turn.effects[1], Say)
    assert turn.effects[1].message.text == "It is 09:05 (UTC)."


@pytest.mark.parametrize("kind", ["command", "message"])
async def test_a_command_is_found_by_its_name(event: Event, kind: str) -> None:
    turn = await answered(replace(event, kind=kind, value={"command": "/time", "command_args": ""}))
    assert [effect.message.text for effect in turn.effects if isinstance(effect, Say)] == ["It is 09:05 (UTC)."]


@pytest.mark.parametrize(
    ("theirs", "ours", "answer"),
    [
        ("Asia/Shanghai", "UTC", "It is 17:05 (Asia/Shanghai)."),
        ("", "Europe/Berlin", "It is 10:05 (Europe/Berlin)."),
        ("Mars/Base", "UTC", "It is 09:05 (UTC)."),
        ("../../etc/passwd", "UTC", "It is 09:05 (UTC)."),
        ("Europe", "UTC", "It is 09:05 (UTC)."),
    ],
)
async def test_the_time_is_the_senders_own_where_it_is_known(event: Event, theirs: str, ours: str, answer: str) -> None:
    sender = Sender(id="u1", zone=theirs)
    turn = Turn("t", replace(event, sender=sender), now=AT_NINE())
    plugin = Loaded(name="rules", plugin=rules.plugin, settings=rules.Settings(zone=ours))
    await route.handle(turn, [plugin])
    assert isinstance(turn.effects[-1], Say)
    assert turn.effects[-1].message.text == answer


def test_a_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        rules.Settings(zone="Mars/Base")


async def test_what_people_write_is_never_a_template(file: Path) -> None:
    rewrite(file, "- {contains: say, answer: 'you {name} {text}'}\n")
    handler = MessageHandler()
    handler.register_plugin(rules.plugin, settings=rules.Settings(file=file))
    answer = await handler.handle({"content": "say {time} {name.x}", "sender_name": "{text}"})
    assert answer == "you {text} say {time} {name.x}"


async def test_an_edit_is_taken_up_while_the_bot_runs(file: Path) -> None:
    async with rules.life(rules.Settings(file=file)) as shelf:
        plugin = Loaded(name="rules", plugin=rules.plugin, settings=rules.Settings(file=file), resource=shelf)
        rewrite(file, "- {match: ping, answer: PONG}\n")
        assert await shelf.refresh()
        turn = Turn("t", event_of("ping"))
        await route.handle(turn, [plugin])
    assert isinstance(turn.effects[0], Say)
    assert turn.effects[0].message.text == "PONG"


async def test_an_unchanged_file_is_not_read_again(file: Path) -> None:
    shelf = rules.Shelf(file)
    book = shelf.book
    assert not await shelf.refresh()
    assert shelf.book is book


async def test_a_broken_edit_is_logged_once_and_the_old_rules_stay(file: Path) -> None:
    shelf = rules.Shelf(file)
    rewrite(file, "- {match: ping}\n")
    with captured() as logs:
        assert not await shelf.refresh()
        assert not await shelf.refresh()
    assert [line["event"] for line in logs] == ["rules.kept"]
    assert "answer: is required" in logs[0]["reason"]
    assert shelf.book.find("ping") is not None


async def test_a_file_that_is_away_for_a_moment_is_taken_up_when_it_is_back(file: Path) -> None:
    shelf = rules.Shelf(file)
    os.remove(file)  # noqa: PTH107 - a plain call: nothing else runs that it could hold up
    with captured():
        assert not await shelf.refresh()
    rewrite(file, "- {match: ping, answer: back}\n")
    assert await shelf.refresh()
    rule = shelf.book.find("ping")
    assert rule is not None
    assert rule.answer.en == "back"


async def test_a_wrong_file_stops_the_start(file: Path) -> None:
    rewrite(file, "- {match: ping}\n")
    with pytest.raises(PluginError, match="answer"):
        async with rules.life(rules.Settings(file=file)):
            pass


async def test_the_file_is_watched_while_the_plugin_lives(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "LOOK_SECONDS", 0.0)
    async with rules.life(rules.Settings(file=file)) as shelf, asyncio.timeout(10):
        before = shelf.book
        rewrite(file, "- {match: ping, answer: PONG}\n")
        while shelf.book is before:
            await asyncio.sleep(0)
    assert shelf.book.find("ping") != before.find("ping")
