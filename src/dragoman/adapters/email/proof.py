"""Whether the receiving server proved a mail's sender: `Authentication-Results` (RFC 8601), of our own server alone.

Anybody can write such a field. Only the first one that names the configured server counts: a server puts its own
on top, and takes out those that pretend to be its own.
"""

import re
from collections.abc import Iterator
from typing import Final

from dragoman.adapters.email.mime import Part

MOST: Final = 20
RESULT: Final = re.compile(r"\s*(dmarc|dkim|spf)\s*=\s*pass\b", re.IGNORECASE)
PROPERTY: Final = re.compile(
    r"\b(header\.d|header\.i|smtp\.mailfrom|header\.from)\s?=\s?\"?([^\s\";]{1,255})", re.IGNORECASE
)


QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""Senders choose what stands in quotes: it could look like a result."""
COMMENT: Final = re.compile(r"\([^()]*\)")


def verified(mail: Part, sender: str, server: str) -> bool:
    """Tell whether `server` vouches for the sender's address; without a server nobody does."""
    domain = sender.rpartition("@")[2]
    if not server or not domain:
        return False
    for value in mail.every("authentication-results")[:MOST]:
        who, _, results = COMMENT.sub(" ", QUOTED.sub('""', value)).partition(";")
        if who.lower().split()[:1] == [server.lower()]:
            return any(_vouches(result, domain) for result in results.split(";")[:MOST])
    return False


def _vouches(result: str, domain: str) -> bool:
    found = RESULT.match(result)
    if found is None:
        return False
    return any(_aligned(claimed, domain) for claimed in _claimed(found[1].lower(), result))


def _claimed(method: str, result: str) -> Iterator[str]:
    """Yield the domains that a result is about."""
    wanted = {"dmarc": {"header.from"}, "dkim": {"header.d", "header.i"}, "spf": {"smtp.mailfrom"}}[method]
    for name, value in PROPERTY.findall(result):
        if name.lower() in wanted:
            yield value.rpartition("@")[2].lower()


def _aligned(claimed: str, domain: str) -> bool:
    """Tell whether two domains are the same, or one is below the other (RFC 7489, relaxed alignment)."""
    if claimed.count(".") < 1 or domain.count(".") < 1:
        return False
    return claimed == domain or domain.endswith(f".{claimed}") or claimed.endswith(f".{domain}")
