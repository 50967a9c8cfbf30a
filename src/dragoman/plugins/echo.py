"""The polite echo: the last plugin of the order, it answers whatever nobody else did."""

import dataclasses
from typing import Final

from dragoman.engine.plugin import UNHANDLED, Plugin
from dragoman.engine.turn import Turn
from dragoman.model import setting
from dragoman.text import templates

PLACEHOLDERS: Final = ("text", "name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the echo says."""

    template: str = setting("What to answer; {text} is what was said, {name} who said it.", default="echo: {text}")

    def __post_init__(self) -> None:
        """Refuse a placeholder that would never be filled."""
        templates.check(self.template, PLACEHOLDERS)


plugin = Plugin("echo", settings=Settings, title="Repeats what nobody else answered.")


@plugin.on(lambda event: event.kind in {"message", "command"})
async def echo(turn: Turn) -> object:
    """Say the message back; of a message without text say that its files have come."""
    said = turn.text
    if said.strip():
        values = {"text": said, "name": turn.event.sender.name or turn.event.sender.id}
        turn.say(templates.fill(turn.settings.template, values))
        return None
    if turn.event.attachments:
        turn.say(received(len(turn.event.attachments)))
        return None
    return UNHANDLED


def received(count: int) -> str:
    """Word the receipt of files, in both languages: without a text there is none to follow."""
    if count == 1:
        return "I got your file, thank you. 已收到您的文件，谢谢。"
    return f"I got your {count} files, thank you. 已收到您的 {count} 个文件，谢谢。"
