"""Feishu's types of the emoji that bots react with most; Feishu takes a type, never the character.

Source: open.feishu.cn, "Emoji types" of message reactions.
"""

from typing import Final

TYPES: Final = {
    **dict.fromkeys(("thumbsup", "+1", "👍"), "THUMBSUP"),
    **dict.fromkeys(("thumbsdown", "-1", "👎"), "ThumbsDown"),
    **dict.fromkeys(("ok", "ok_hand", "👌"), "OK"),
    **dict.fromkeys(("white_check_mark", "heavy_check_mark", "✅", "✔"), "CheckMark"),
    **dict.fromkeys(("x", "❌"), "CrossMark"),
    **dict.fromkeys(("heart", "❤"), "HEART"),
    **dict.fromkeys(("clap", "👏"), "APPLAUSE"),
    **dict.fromkeys(("pray", "🙏"), "THANKS"),
    **dict.fromkeys(("muscle", "💪"), "MUSCLE"),
    **dict.fromkeys(("wave", "👋"), "WAVE"),
    **dict.fromkeys(("eyes", "👀"), "GLANCE"),
    **dict.fromkeys(("fire", "🔥"), "Fire"),
    **dict.fromkeys(("tada", "🎉"), "PARTY"),
    **dict.fromkeys(("100", "💯"), "Hundred"),
    **dict.fromkeys(("smile", "🙂", "😄"), "SMILE"),
    **dict.fromkeys(("joy", "😂"), "LOL"),
    **dict.fromkeys(("thinking", "thinking_face", "🤔"), "THINKING"),
    **dict.fromkeys(("open_mouth", "😮"), "WOW"),
    **dict.fromkeys(("cry", "😢"), "CRY"),
    **dict.fromkeys(("sob", "😭"), "SOB"),
    **dict.fromkeys(("rage", "😡"), "ANGRY"),
    **dict.fromkeys(("hourglass_flowing_sand", "⏳"), "OneSecond"),
}

VARIATION: Final = "\ufe0f"
"""Asks for the coloured form of a character; not part of its identity."""


def emoji_type(emoji: str) -> str:
    """Return the type of an emoji given as a name (with or without colons), as a character, or as a type."""
    bare = emoji.strip().removesuffix(VARIATION).strip(":")
    return TYPES.get(bare) or (bare.upper() if bare.islower() else bare)
