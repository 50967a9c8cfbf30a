"""What can be wrong with an e-mail account's settings, each as a line that says what to do."""

from collections.abc import Iterable, Iterator
from typing import Final

from dragoman.adapters.email import headers

HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_IDLE: Final = 1500.0
"""Servers end an IDLE after half an hour (RFC 2177)."""


def addresses(address: str, aliases: Iterable[str]) -> Iterator[str]:
    """Check the bot's own addresses."""
    if not headers.address(address):
        yield "address must be one e-mail address, such as bot@example.org"
    for alias in aliases:
        if not headers.address(alias):
            yield f"aliases has {alias!r}, which is no e-mail address"


def server(kind: str, host: str, port: int, security: str) -> Iterator[str]:
    """Check where a server is, and how it is spoken to."""
    if "/" in host or any(character.isspace() for character in host) or (":" in host and host not in HERE):
        yield f"{kind}_host must be a host name alone, without a scheme or a port"
    if not 0 <= port <= 65535:
        yield f"{kind}_port must be between 1 and 65535 (0: the usual one)"
    if security == "none" and host not in HERE:
        yield f"{kind}_security = none sends the password in clear: it is for a server on this machine only"


def password(*, given: bool, oauth: bool) -> Iterator[str]:
    """Check a login by password."""
    if not given:
        yield "password is empty: set it, or login = xoauth2 with the OAuth2 settings"
    if oauth:
        yield "refresh_token is set, and login is password: set login = xoauth2"


def oauth(token_url: str, client_id: str, *, refresh_token: bool) -> Iterator[str]:
    """Check a login by OAuth2."""
    if not token_url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        yield "login = xoauth2 needs token_url, beginning with https://"
    if not client_id:
        yield "login = xoauth2 needs client_id"
    if not refresh_token:
        yield "login = xoauth2 needs refresh_token, from the consent of the mailbox's owner"


def manners(folder: str, idle: float, largest: int, authserv_id: str, *, only_verified: bool) -> Iterator[str]:
    """Check how mail is read."""
    if not folder.strip() or not folder.isprintable():
        yield "folder must be a folder's name, such as INBOX"
    if not 1 <= idle <= LONGEST_IDLE:
        yield f"idle must be between 1 and {LONGEST_IDLE:g} seconds"
    if not 1 << 16 <= largest <= 50 << 20:
        yield "largest must be between 65536 and 52428800 bytes"
    if only_verified and not authserv_id.strip():
        yield "only_verified needs authserv_id: without it nobody is verified, and every mail would be left alone"


def name(display_name: str) -> Iterator[str]:
    """Check the name beside the address: it becomes part of a header."""
    if not display_name.isprintable() or len(display_name) > 200:
        yield "display_name must be one line of at most 200 characters"
