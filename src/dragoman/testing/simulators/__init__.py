"""One strict façade per platform, loaded on use."""

import importlib
from typing import Final

from dragoman.testing.simulator import Simulator

SHIPPED: Final = {
    "slack": "dragoman.testing.simulators.slack:SlackSimulator",
    "telegram": "dragoman.testing.simulators.telegram:TelegramSimulator",
    "feishu": "dragoman.testing.simulators.feishu:FeishuSimulator",
}


def load(platform: str) -> type[Simulator]:
    """Return the simulator of a platform; raises `LookupError` when there is none."""
    if platform not in SHIPPED:
        raise LookupError(platform)
    module, _, name = SHIPPED[platform].partition(":")
    found: type[Simulator] = getattr(importlib.import_module(module), name)
    return found
