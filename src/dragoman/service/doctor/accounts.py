"""The accounts: does the platform know us, and what does it say is missing."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from dragoman.flow.account import Account, Accounts
from dragoman.flow.client import Client
from dragoman.flow.media import MediaStore
from dragoman.flow.probe import Probed, probe_all
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.flow.transport.mail import MailTransport
from dragoman.service.doctor.finding import Finding, failed, ok, warning
from dragoman.service.doctor.subject import Subject
from dragoman.service.installation import Installation
from dragoman.service.tasks import references

REACH: Final = 3.0
"""Seconds that each platform has."""


async def probes(installation: Installation, subject: Subject) -> Sequence[Finding]:
    """Ask every account's platform: by the running service, which has all tokens, or else from here."""
    if subject.running and "accounts" in subject.running:
        found = msgspec.convert(subject.running["accounts"], list[Probed])
        broken = [_installation(row) for row in subject.running["installations"] if row["trouble"]]
        return [*(finding for probed in found for finding in judge(probed)), *broken]
    ours = [account for account in subject.accounts if not _keeps_tokens(account)]
    later = [_later(account) for account in subject.accounts if _keeps_tokens(account)]
    async with _client(installation, ours) as (client, accounts):
        found = await probe_all(client, accounts, ours, REACH)
    return [*(finding for probed in found for finding in judge(probed)), *later]


def _keeps_tokens(account: Account) -> bool:
    """Tell whether asking may change a token that only the service can keep."""
    return account.adapter.oauth() is not None or bool(getattr(account.adapter, "refresh_token", None))


def _later(account: Account) -> Finding:
    seen = "its tokens are the service's to renew, and none runs here"
    return warning(f"account {account.name}", seen, "start the service, and ask again")


@contextlib.asynccontextmanager
async def _client(installation: Installation, ours: Sequence[Account]) -> AsyncIterator[tuple[Client, Accounts]]:
    """Open what asks platforms, without a store: a probe fetches no files, and leaves nothing behind."""
    media, accounts = MediaStore(installation.data / "media"), Accounts(ours, time.time)
    http, mail = HttpTransport(media, installation.settings.private_hosts), MailTransport(media)
    refer = references(installation.document, installation.environ)
    try:
        yield Client(http, Hub(), accounts, time.time, mail=mail, refer=refer), accounts
    finally:
        await http.close()
        await mail.close()


def judge(probed: Probed) -> Sequence[Finding]:
    """Judge what a platform said."""
    name, how = f"account {probed.account}", f"{probed.platform}, {probed.mode}"
    if probed.trouble:
        remedy = "check the network from here to the platform (name, firewall, proxy), and the account's addresses"
        return [failed(name, f"{how}: {probed.trouble}", remedy)]
    if probed.problems:
        return [failed(name, f"{how}: {seen}", remedy) for seen, remedy in map(_parted, probed.problems)]
    if not probed.asked:
        return [ok(name, how)]
    return [ok(name, f"{how}, the bot is {probed.bot}" if probed.bot else how)]


def _parted(problem: str) -> tuple[str, str]:
    """Part a problem from its remedy, which stands after the last colon."""
    seen, colon, remedy = problem.rpartition(": ")
    return (seen, remedy) if colon else (problem, "look at the account's page among the how-to pages in docs/")


def _installation(row: Any) -> Finding:
    name, place = f"account {row['account']}", row["name"] or row["workspace"]
    remedy = f"open /oauth/{row['account']}/install at the public address, and install the app there again"
    return failed(name, f"of no use in {place}: {row['trouble']}", remedy)
