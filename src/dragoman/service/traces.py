"""Whether the line tells its traces, and to whom."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from dragoman import __version__, telemetry
from dragoman.config import Traces
from dragoman.errors import ConfigError
from dragoman.flow.traces import Tracer
from dragoman.service.installation import Installation

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
INSTALL: Final = "pip install 'dragoman[traces]'"

log = telemetry.logger("traces")


async def open_tracer(
    stack: contextlib.AsyncExitStack,
    installation: Installation,
    clock: Callable[[], float],
    replica: str,
    roles: Collection[str],
) -> Tracer | None:
    """Open the way to the collector, if there is to be one; raises `ConfigError`.

    A collector that only the environment names is no reason to refuse the start: it may have been meant for others.
    """
    settings, document = installation.settings.traces, installation.document
    if not wanted(settings, installation.environ):
        return None
    headers = _headers(installation)
    try:
        from dragoman.flow.transport import otlp  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if settings.url:
            raise ConfigError(document.where("traces.url"), "traces.url", f"needs {error.name}", INSTALL) from error
        log.warning("traces.off", reason=f"{error.name} is not installed", remedy=INSTALL)
        return None
    about = {"service.name": "dragoman", "service.version": __version__, "service.instance.id": replica}
    exporter = otlp.Exporter(settings.url, headers, {**about, "dragoman.roles": ",".join(roles)})
    stack.push_async_callback(exporter.close)
    return Tracer(exporter.emit, otlp.Sampling(settings.sample), clock)


def wanted(settings: Traces, environ: Mapping[str, str]) -> bool:
    """Tell whether a collector is named, by the settings or by the variables that every OpenTelemetry library reads."""
    if settings.url:
        return True
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environ.get(name) for name in ENDPOINTS)


def _headers(installation: Installation) -> dict[str, str]:
    settings, where = installation.settings.traces, installation.document.where
    if settings.url and urlsplit(settings.url).scheme not in {"http", "https"}:
        raise ConfigError(where("traces.url"), "traces.url", "should begin with http:// or https://")
    pairs = [pair.partition("=") for pair in settings.headers.reveal().split(",") if pair.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ConfigError(where("traces.headers"), "traces.headers", "should be NAME=VALUE, with commas between")
    return {name.strip(): value.strip() for name, _, value in pairs}
