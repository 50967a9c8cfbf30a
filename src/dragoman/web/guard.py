"""Who may open what: the Host and Origin of browsers, and the tokens of the chat page and of the metrics."""

import dataclasses
import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from dragoman import crypto
from dragoman.model import Secret

KEY_COOKIE: Final = "dragoman_key"
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guard:
    """The rules of one service. `hosts` are names under which it may be opened, besides the bound address."""

    bound: str
    hosts: frozenset[str] = frozenset()
    public: bool = False
    reached: bool = False
    """True when others reach us though we are bound to loopback: a proxy stands before us, or a token was set."""
    chat_token: Secret = Secret()
    metrics_token: Secret = Secret()

    @property
    def beyond_loopback(self) -> bool:
        """Tell whether other machines can reach us."""
        return self.reached or self.bound not in LOCAL_NAMES

    def host_allowed(self, connection: HTTPConnection) -> bool:
        """Check the Host header, against DNS rebinding: our names, or, bound to all addresses, any literal one."""
        name = host_name(connection.headers.get("host", ""))
        if name in LOCAL_NAMES | self.hosts | {self.bound}:
            return True
        return self.bound in {"0.0.0.0", "::"} and _is_address(name)

    def origin_allowed(self, connection: HTTPConnection) -> bool:
        """Check that a browser's page is our own: Origin must be there and name the host that it asks."""
        _, separator, origin = connection.headers.get("origin", "").partition("://")
        return bool(separator) and bool(origin) and origin == connection.headers.get("host", "")

    def may_chat(self, connection: HTTPConnection) -> bool:
        """Check the token of the chat link, from the cookie that the link set or from the link itself."""
        if not self.beyond_loopback or self.public:
            return True
        return self.opens_chat(connection.cookies.get(KEY_COOKIE, "")) or self.opens_chat(
            connection.query_params.get("token", "")
        )

    def opens_chat(self, token: str) -> bool:
        """Tell whether this is the chat link's token."""
        return crypto.same_as_any(token, self.chat_token.candidates())

    def may_read_metrics(self, connection: HTTPConnection) -> bool:
        """Check the metrics token, where one is set or needed."""
        if not self.beyond_loopback and not self.metrics_token:
            return True
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and crypto.same_as_any(given.strip(), self.metrics_token.candidates())


def host_name(header: str) -> str:
    """Return the name or address of a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:  # brackets without an address in them
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
