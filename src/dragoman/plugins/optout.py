"""The opt-out: who says so in a direct chat gets no broadcast any more, until they say the contrary."""

from typing import Final

from dragoman.engine.plugin import UNHANDLED, Plugin
from dragoman.engine.turn import Turn
from dragoman.model import OPTED_OUT, Event
from dragoman.plugins.phrases import is_chinese, normalise

OUT: Final = frozenset({"unsubscribe", "退订", "取消订阅"})
IN: Final = frozenset({"subscribe", "订阅"})
SLASHED_OUT: Final = OUT | {"stop"}
"""Bare, `stop` means other things too: it ends a question that is open."""
SLASHED_IN: Final = IN | {"start"}

LEFT: Final = (
    "You will get no more broadcasts from me. Write /subscribe to get them again.",
    "您不会再收到群发消息。需要时发送“订阅”即可恢复。",
)
BACK: Final = (
    "You will get broadcasts again. Write /unsubscribe to end them.",
    "您会再次收到群发消息。不想要时发送“退订”即可。",
)

plugin = Plugin("optout", title="Lets people leave broadcasts, and come back.")


def said(event: Event, bare: frozenset[str], slashed: frozenset[str]) -> bool:
    """Tell whether somebody says one of these words in a direct chat, with a slash or (fewer of them) without."""
    if event.chat_kind != "direct":
        return False
    if command := event.value.get("command"):
        return str(command).removeprefix("/").lower() in slashed
    words = normalise(event.text)
    return event.kind == "message" and (words in bare or (words[:1] == "/" and words[1:] in slashed))


@plugin.on(lambda event: said(event, OUT, SLASHED_OUT), title="unsubscribe, 退订, /stop: no more broadcasts")
async def leave(turn: Turn) -> None:
    """Let broadcasts pass by this person, and by this chat."""
    _remember(turn, out=True)
    turn.say(LEFT[_chinese(turn)])


@plugin.on(lambda event: said(event, IN, SLASHED_IN), title="subscribe, 订阅: broadcasts again")
async def come_back(turn: Turn) -> object:
    """Let broadcasts reach this person again; for one who never left, `/start` is for others to answer."""
    gone = await turn.recall(OPTED_OUT, of="person") or await turn.recall(OPTED_OUT, of="channel")
    if not gone and not said(turn.event, IN, IN):
        return UNHANDLED
    if gone:
        _remember(turn, out=False)
    turn.say(BACK[_chinese(turn)])
    return None


def _remember(turn: Turn, *, out: bool) -> None:
    turn.remember(OPTED_OUT, out, of="person")
    turn.remember(OPTED_OUT, out, of="channel")


def _chinese(turn: Turn) -> bool:
    return is_chinese(turn.text) or turn.event.sender.locale.lower().startswith("zh")
