"""How the service is reached: its ports, its public address, and the tokens that are asked for beyond loopback."""

import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from dragoman.config import Settings
from dragoman.flow.account import Account
from dragoman.flow.vault import LEAST
from dragoman.service.doctor.finding import Finding, failed, ok, warning
from dragoman.service.doctor.subject import Subject
from dragoman.service.installation import Installation
from dragoman.web.guard import LOCAL_NAMES

PROXY: Final = "docs/how-to/run-behind-a-proxy.md"
OURS: Final = frozenset({"webhook"})
"""Platforms whose callers are the operator's own programs, and need no public address."""


def ports(installation: Installation, subject: Subject) -> Sequence[Finding]:
    """Check that the service can listen, or does."""
    if subject.running and subject.running.get("doors"):
        return [ok("port", f"the running service listens on {', '.join(subject.running['doors'])}")]
    if subject.running == {}:
        return []  # it runs, and cannot be asked where
    settings = installation.settings
    wanted = {"port": (settings.host, settings.port)}
    if settings.metrics_port:
        wanted["metrics_port"] = ("127.0.0.1", settings.metrics_port)
    return [_port(key, *place) for key, place in wanted.items()]


def _port(key: str, host: str, port: int) -> Finding:
    where = f"{host}:{port}" if port else f"any port of {host}"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        return _taken(key, where, port, error)
    return ok(key, f"{where} is free")


def _taken(key: str, where: str, port: int, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        remedy = f"end the program that has it (ss -ltnp 'sport = :{port}' shows it), or set another {key}"
        return failed(key, f"another program listens on {where}", remedy)
    if error.errno == errno.EACCES:
        return failed(key, f"{where} is not for this user", f"set a {key} above 1023, and let a proxy listen in front")
    remedy = 'set host to "127.0.0.1", to "0.0.0.0" for all addresses, or to an address that `ip address` shows'
    return failed(key, f"this machine does not have the address {where}: {error.strerror}", remedy)


def public_address(installation: Installation, subject: Subject) -> Sequence[Finding]:
    """Check the address under which platforms call us, where any does."""
    callers = [account for account in subject.accounts if needs_public(account)]
    return [judge_public(installation.settings.public_url, callers)]


def needs_public(account: Account) -> bool:
    """Tell whether a platform, or a person's browser, has to reach us from outside for this account."""
    called = account.adapter.mode() == "webhook" and account.platform not in OURS
    return called or account.adapter.oauth() is not None


def judge_public(url: str, callers: Iterable[Account]) -> Finding:
    """Judge `public_url` for the accounts whose platforms call it."""
    name, names = "public address", ", ".join(account.name for account in callers)
    installs = [account.name for account in callers if account.adapter.oauth() is not None]
    remedy = f'set public_url = "https://YOUR-NAME", and let a proxy with a certificate stand there ({PROXY})'
    if not url:
        if installs:
            return failed(name, f"none is set, and {', '.join(installs)} cannot be installed without one", remedy)
        return warning(name, f"none is set, and {names} is called from outside", remedy) if names else ok(name, "none")
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        return failed(name, "public_url is no address of the web", remedy)
    if names and address.scheme != "https":
        judge = warning if _is_local(address.hostname) else failed
        return judge(name, f"{url} is not https, which the platform of {names} asks for", remedy)
    return ok(name, url)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tokens(installation: Installation, _: Subject) -> Sequence[Finding]:
    """Check the tokens of the chat page and of the metrics, which count where others can reach us."""
    return judge_tokens(installation.settings)


def judge_tokens(settings: Settings) -> Sequence[Finding]:
    """Judge the tokens that are asked for beyond loopback."""
    if not (settings.public_url or settings.chat_token or settings.host not in LOCAL_NAMES):
        return [ok("tokens", "none needed: only this machine reaches the chat page and the metrics")]
    make = "make one (openssl rand -hex 24) and set"
    findings = []
    if not settings.public and not settings.chat_token:
        seen = "the chat page asks for a token, which is another one after each start"
        findings.append(warning("chat token", seen, f"{make} chat_token; public = true lets everyone in"))
    if not settings.metrics_token:
        seen = "/metrics answers nobody: beyond loopback it asks for a token, and none is set"
        own = "" if settings.metrics_port else ", or set metrics_port for a port of their own on loopback"
        judge = ok("metrics token", "metrics have a port of their own") if settings.metrics_port else None
        findings.append(judge or warning("metrics token", seen, f"{make} metrics_token{own}"))
    return findings or [ok("tokens", "set")]


def encryption_key(installation: Installation, subject: Subject) -> Sequence[Finding]:
    """Check that replicas share the key of the tokens which platforms grant."""
    settings, make = installation.settings, "make one (openssl rand -base64 32) and set encryption_key to it"
    if any(len(key) < LEAST for key in settings.encryption_key.candidates()):
        return [failed("encryption key", f"it has less than {LEAST} characters", make)]
    if settings.encryption_key:
        return [ok("encryption key", "set")]
    if not settings.store:
        return [ok("encryption key", "this process's own, in the data folder")]
    granted = [account.name for account in subject.accounts if account.adapter.oauth() is not None]
    remedy = f"{make} on every replica"
    seen = "none is set, so a second replica cannot read what the first one keeps"
    judge = failed if granted else warning
    return [judge("encryption key", f"{seen} of {', '.join(granted)}" if granted else seen, remedy)]
