"""A strict Bot API: refuses what Telegram refuses, and what only a careless client sends."""

from dragoman.testing.simulators.telegram.simulator import TelegramSimulator

__all__ = ["TelegramSimulator"]
