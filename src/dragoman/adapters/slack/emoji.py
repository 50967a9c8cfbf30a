"""Slack's names of the emoji that bots react with most; Slack takes a name, never the character."""

from typing import Final

NAMES: Final = {
    "👍": "+1",
    "👎": "-1",
    "👌": "ok_hand",
    "👏": "clap",
    "🙏": "pray",
    "👋": "wave",
    "💪": "muscle",
    "👀": "eyes",
    "❤": "heart",
    "🔥": "fire",
    "🎉": "tada",
    "🚀": "rocket",
    "⭐": "star",
    "✨": "sparkles",
    "💯": "100",
    "💡": "bulb",
    "✅": "white_check_mark",
    "✔": "heavy_check_mark",
    "❌": "x",
    "⚠": "warning",
    "❓": "question",
    "❗": "exclamation",
    "⏳": "hourglass_flowing_sand",
    "🙂": "slightly_smiling_face",
    "😀": "grinning",
    "😄": "smile",
    "😂": "joy",
    "😍": "heart_eyes",
    "😢": "cry",
    "😮": "open_mouth",
    "😡": "rage",
    "🤔": "thinking_face",
}

VARIATION: Final = "\ufe0f"
"""Asks for the coloured form of a character; not part of its identity."""


def name(emoji: str) -> str:
    """Return Slack's name of an emoji given as a name (with or without colons) or as a character."""
    bare = emoji.strip().removesuffix(VARIATION)
    return NAMES.get(bare, bare.strip(":"))
