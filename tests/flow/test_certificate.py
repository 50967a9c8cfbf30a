"""The certificate that others are shown: its end is seen on a real TLS server, and not told once it is not seen."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dragoman import telemetry
from dragoman.flow import certificate

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def selfsigned(folder: Path, ends: dt.datetime) -> ssl.SSLContext:
    """Make a certificate that nobody else has signed, and return a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bot.example.org")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=100))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@contextlib.asynccontextmanager
async def server(context: ssl.SSLContext | None, port: int = 0) -> AsyncIterator[int]:
    """Serve TLS (or, without a context, something else) on a port; yields it."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if context is None:
            writer.write(b"220 this is no TLS\r\n")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", port, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


def shown() -> float | None:
    """Return what the metric tells; None while it tells nothing."""
    (family,) = telemetry.certificate_expiry.collect()
    return family.samples[0].value if family.samples else None


def looks(outcome: str) -> float:
    return telemetry.REGISTRY.get_sample_value("dragoman_certificate_looks_total", {"outcome": outcome}) or 0.0


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def nothing_shown() -> None:
    telemetry.certificate_expiry.clear()


@pytest.mark.parametrize("days", [30, -3], ids=["it is valid", "it has ended"])
async def test_the_end_of_a_certificate_is_seen(tmp_path: Path, days: int) -> None:
    ends = NOW + dt.timedelta(days=days)
    async with server(selfsigned(tmp_path, ends)) as port:
        assert await certificate.look("127.0.0.1", port) == ends.timestamp()


async def test_a_new_certificate_is_seen_at_the_next_look_and_none_when_it_cannot_be_seen(tmp_path: Path) -> None:
    old, new = NOW + dt.timedelta(days=5), NOW + dt.timedelta(days=90)
    async with server(selfsigned(tmp_path, old)) as port:
        watching = asyncio.create_task(certificate.watch(f"https://127.0.0.1:{port}/bot", again=0.05, soon=0.05))
        await until(lambda: shown() == old.timestamp())
    try:
        failed = looks("failed")
        await until(lambda: looks("failed") > failed)
        assert shown() is None

        async with server(selfsigned(tmp_path, new), port):
            await until(lambda: shown() == new.timestamp())
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_what_speaks_no_tls_is_counted_as_a_failure() -> None:
    failed = looks("failed")
    async with server(None) as port:
        watching = asyncio.create_task(certificate.watch(f"https://127.0.0.1:{port}"))
        await until(lambda: looks("failed") == failed + 1)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    assert shown() is None


@pytest.mark.parametrize("address", ["", "http://bot.example.org", "https://"])
async def test_without_an_address_of_https_there_is_nothing_to_look_at(address: str) -> None:
    await certificate.watch(address)

    assert shown() is None
