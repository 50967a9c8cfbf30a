"""What a check found: one line for people, one object for programs."""

import dataclasses
from collections.abc import Iterable
from typing import Final, Literal

State = Literal["ok", "warning", "failed"]

ELSE: Final = "docs/reference/settings.md says what it may be"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One prerequisite: whether it holds, what was seen, and what to do about it."""

    name: str
    state: State
    seen: str
    remedy: str = ""

    def __str__(self) -> str:
        """Give the one line that an operator reads."""
        line = f"{self.state:<8} {self.name}: {self.seen}" + (f". Remedy: {self.remedy}" if self.remedy else "")
        return " ".join(line.split("\n"))


def ok(name: str, seen: str) -> Finding:
    """Say that a prerequisite holds."""
    return Finding(name=name, state="ok", seen=seen)


def warning(name: str, seen: str, remedy: str) -> Finding:
    """Say what may become trouble, and what to do about it."""
    return Finding(name=name, state="warning", seen=seen, remedy=remedy)


def failed(name: str, seen: str, remedy: str) -> Finding:
    """Say what keeps the bot from its work, and what mends it."""
    return Finding(name=name, state="failed", seen=seen, remedy=remedy)


def good(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing failed."""
    return all(finding.state != "failed" for finding in findings)
