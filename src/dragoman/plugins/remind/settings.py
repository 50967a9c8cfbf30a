"""What an operator may set about reminders."""

import dataclasses
import zoneinfo

from dragoman.model import Secret, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Whose time it is, how much one person may keep, and the model that may be asked."""

    zone: str = setting("Time zone for people who told none and whose platform tells none.", default="UTC")
    most: int = setting("Reminders that one person may have, at most.", default=100)
    max_text: int = setting("Characters of a reminder's text; the rest is cut off.", default=1000)
    model: str = setting(
        "A language model for times that the grammar does not understand, as its endpoint knows it (empty: none).",
        default="",
    )
    base_url: str = setting("Address of the model's endpoint, compatible with OpenAI's.", default="")
    api_key: Secret = setting("Key of the model's endpoint; a local server may need none.", default=Secret())
    deadline: float = setting("Seconds after which the model is not waited for any more.", default=20.0)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        try:
            zoneinfo.ZoneInfo(self.zone)
        except (LookupError, ValueError, OSError):
            raise ValueError(f"zone: {self.zone!r} is no time zone (write one such as Europe/Berlin)") from None
        if not 1 <= self.most <= 500:
            raise ValueError("most should be between 1 and 500")
        if self.max_text < 1 or self.deadline <= 0:
            raise ValueError("max_text and deadline should be above 0")
        if self.model and not self.base_url.startswith(("http://", "https://")):
            raise ValueError("base_url should begin with https:// or http:// where a model is named")
