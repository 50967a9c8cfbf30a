"""When the certificate ends that others are shown at `public_url`, looked at from outside once an hour."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from dragoman import crypto, telemetry

AGAIN: Final = 3600.0
"""Seconds between two looks."""
SOON: Final = 300.0
"""Seconds until the next look after one that failed."""
WITHIN: Final = 10.0
"""Seconds that a look may take."""

log = telemetry.logger("certificate")


async def watch(public_url: str, again: float = AGAIN, soon: float = SOON) -> None:
    """Keep the metric up to date until cancelled; without an address that begins with https there is nothing to do.

    What cannot be seen is not shown: an old look would tell of a certificate that was replaced meanwhile.
    """
    place = urlsplit(public_url)
    if place.scheme != "https" or not place.hostname:
        return
    while True:
        try:
            ends = await look(place.hostname, place.port or 443)
        except (OSError, ValueError) as error:  # TimeoutError and what TLS raises are of the first kind
            telemetry.certificate_looks.labels("failed").inc()
            telemetry.certificate_expiry.clear()
            log.warning("certificate.unseen", host=place.hostname, reason=telemetry.where(error))
            await asyncio.sleep(soon)
        else:
            telemetry.certificate_looks.labels("seen").inc()
            telemetry.certificate_expiry.labels(place.hostname).set(ends)
            await asyncio.sleep(again)


async def look(host: str, port: int) -> float:
    """Return when the certificate that a server shows ends; raises `OSError` or `ValueError`."""
    async with asyncio.timeout(WITHIN):
        _, writer = await asyncio.open_connection(host, port, ssl=_unverified(), server_hostname=host)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return crypto.certificate_ends(shown or b"")


def _unverified() -> ssl.SSLContext:
    """Accept whatever is shown: nothing is said to the other side, and one that has ended is to be seen too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
