"""Watches the wall clock: a platform that signs its requests says what time it has."""

from typing import Final

from dragoman import telemetry

LARGEST: Final = 60.0
"""Seconds by which a platform's clock and ours may differ without a word."""
AGAIN: Final = 60.0
"""Seconds between two words about the same account."""

log = telemetry.logger("clock")


class SkewWatch:
    """Says, once a minute and account, that our clock and a platform's differ."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def compare(self, account: str, skew: float, now: float) -> None:
        """Note that our clock is `skew` seconds ahead of the platform's; `now` is steady."""
        if abs(skew) <= LARGEST or now - self._said.get(account, now - AGAIN) < AGAIN:
            return
        self._said[account] = now
        telemetry.clock_skew.labels(account).inc()
        log.warning(
            "clock.skewed", account=account, ahead=round(skew), hint="set this machine's clock, for example by NTP"
        )
