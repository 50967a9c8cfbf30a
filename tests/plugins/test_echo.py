"""The polite echo."""

import pytest

from dragoman.engine.handler import MessageHandler
from dragoman.model import Event
from dragoman.plugins import echo
from dragoman.testing.play import play


@pytest.mark.parametrize("text", ["hello", "你好", "  spaced  ", "{name} {text} {0} %s", "a\nb"])
async def test_a_message_comes_back_as_it_was(text: str) -> None:
    assert await play(echo.plugin, text) == [f"echo: {text}"]


async def test_a_command_comes_back_as_it_was() -> None:
    assert await play(echo.plugin, "/unknown word") == ["echo: /unknown word"]


async def test_the_template_may_name_who_spoke() -> None:
    handler = MessageHandler()
    handler.register_plugin(echo.plugin, settings=echo.Settings(template="{name} said {text}, {name}"))
    answer = await handler.handle({"content": "{name}!", "sender_id": "u1", "sender_name": "Kim"})
    assert answer == "Kim said {name}!, Kim"


async def test_somebody_without_a_name_is_called_by_their_id() -> None:
    handler = MessageHandler()
    handler.register_plugin(echo.plugin, settings=echo.Settings(template="{name}: {text}"))
    assert await handler.handle({"content": "hi", "sender_id": "u1"}) == "u1: hi"


@pytest.mark.parametrize("template", ["{txt}", "{text} {time}"])
def test_a_template_with_another_placeholder_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="is no placeholder"):
        echo.Settings(template=template)


@pytest.mark.parametrize("template", ["", "{}", "{0}", "100 %", '{"json": 1}'])
def test_other_braces_are_text(template: str) -> None:
    assert echo.Settings(template=template).template == template


@pytest.mark.parametrize(("count", "words"), [(1, "your file,"), (2, "your 2 files,")])
async def test_files_without_a_text_are_thanked_for_in_both_languages(count: int, words: str) -> None:
    handler = MessageHandler([echo.plugin])
    answer = await handler.handle({"content": "", "attachments": [{"kind": "image", "id": "1"}] * count})
    assert answer is not None
    assert words in answer
    assert "已收到" in answer


async def test_a_message_with_nothing_in_it_is_left_alone() -> None:
    assert await MessageHandler([echo.plugin]).handle("  ") is None


async def test_other_kinds_of_events_are_left_alone(event: Event) -> None:
    from_button = await MessageHandler([echo.plugin]).handle(event)
    assert from_button is None
