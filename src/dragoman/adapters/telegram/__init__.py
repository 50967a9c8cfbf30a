"""Telegram: the Bot API, by webhook and by long polling."""

from dragoman.adapters.telegram.adapter import Telegram

__all__ = ["Telegram"]
