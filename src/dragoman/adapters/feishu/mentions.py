"""Mentions in a message: the text holds placeholders, a list beside it says whom they mean.

Source: open.feishu.cn, "Receive message" (field `mentions`).
"""

import re
from collections.abc import Sequence
from typing import Final

from dragoman.adapters.feishu.payloads import Named
from dragoman.model import Mention

EVERYONE: Final = "@_all"
"""The placeholder of a mention of everyone; it usually has no entry in the list."""


def read(named: Sequence[Named], bot: str) -> tuple[Mention, ...]:
    """Return who is named, in the order of the list."""
    return tuple(
        Mention(id=each.id.id if each.id else "", name=each.name or "", is_bot=_is_bot(each, bot)) for each in named
    )


def clean(text: str, named: Sequence[Named], bot: str) -> str:
    """Return what a person reads: the bot's own mention removed, placeholders by their names, stripped."""
    names = {EVERYONE: "@all", **{each.key: f"@{each.name}" if each.name else each.key for each in named if each.key}}
    names |= {each.key: "" for each in named if _is_bot(each, bot)}
    # The longest first: @_user_1 also begins @_user_11.
    keys = "|".join(re.escape(key) for key in sorted(names, key=len, reverse=True))

    def spoken(found: re.Match[str]) -> str:
        name = names[found[1]]
        return name + found[2] if name else ""

    return re.sub(f"({keys})( ?)", spoken, text).strip()


def _is_bot(named: Named, bot: str) -> bool:
    return bool(bot) and named.id is not None and named.id.open_id == bot
