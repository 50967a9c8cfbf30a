"""Configuration: TOML and environment into typed settings, every refusal with file, key, reason and remedy.

A document is read as it stands (`read`), overridden by `DRAGOMAN_` variables (`override`), and each
table is then built into a dataclass (`build`). References (`env:NAME`, `file:PATH`) are resolved on
the way; relative paths are relative to the folder of the file that names them.
"""

import dataclasses
import difflib
import functools
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import platformdirs
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from dragoman.errors import ConfigError
from dragoman.model import Secret, setting

T = TypeVar("T")

FILE: Final = "dragoman.toml"
PREFIX: Final = "DRAGOMAN_"
OUTSIDE: Final = frozenset({"DRAGOMAN_CONFIG", "DRAGOMAN_DATA", "DRAGOMAN_CRASH"})
"""Variables that are no settings: where the configuration and the data are, and the fault tests' crash point."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
LEAST_DAYS: Final = 8
"""Days for which keys are kept at least: longer than any platform retries (WhatsApp: 7 days)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retention:
    """How long things are kept, in days."""

    messages: int = setting(
        "Days to keep messages, replies and the keys that recognise a repeat (at least 8).", default=90
    )
    raw: int = setting("Days to keep the raw payloads of webhooks.", default=7)
    media: int = setting("Days to keep fetched and uploaded files.", default=7)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cache:
    """The shared cache, which is optional: it saves time, and is never the truth."""

    url: Secret = setting("A server that speaks Redis' protocol, redis://HOST:PORT/0 (empty: none).", default=Secret())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bucket:
    """A place in object storage; what is left out comes from the environment, as the cloud's own tools have it."""

    url: str = setting(
        "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://ACCOUNT/CONTAINER/PREFIX, or the path of a folder (empty: none).",
        default="",
    )
    endpoint: str = setting("Address of an S3-protocol server that is not Amazon's, https://HOST.", default="")
    region: str = setting("The bucket's region, where the server asks for one.", default="")
    access_key: Secret = setting("Name of the access key.", default=Secret())
    secret_key: Secret = setting("The access key's secret.", default=Secret())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive(Bucket):
    """Conversations in object storage."""

    compress: bool = setting("Compress every file.", default=False)
    key: Secret = setting(
        "Encrypt every file under this key, of 32 characters or more (empty: do not).", default=Secret()
    )
    days: int = setting("Days to keep a file (0: for ever).", default=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backup(Bucket):
    """The second copy of the store: snapshots, and a log of every change since."""

    key: Secret = setting(
        "Encrypt the backup under this key, of 32 characters or more (empty: do not).", default=Secret()
    )
    seconds: float = setting("Seconds between two parts of the log: what is lost with the disk, at most.", default=5.0)
    snapshot_hours: float = setting("Hours between two snapshots.", default=6.0)
    days: int = setting("Days back to which the store can be restored.", default=14)
    drill_days: float = setting("Days between two drills: restore, check and count (0: none).", default=7.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traces:
    """Where the life of each message is told as an OpenTelemetry trace; optional."""

    url: str = setting(
        "A collector that speaks OTLP over HTTP, http://HOST:4318 (empty: what OTEL_EXPORTER_OTLP_ENDPOINT says).",
        default="",
    )
    headers: Secret = setting(
        "Headers for the collector, NAME=VALUE with commas between (empty: what OTEL_EXPORTER_OTLP_HEADERS says).",
        default=Secret(),
    )
    sample: float | None = setting(
        "The part of all messages that is told, from 0 to 1 (default: what OTEL_TRACES_SAMPLER says, or all).",
        default=None,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the whole service."""

    plugins: tuple[str, ...] = setting(
        "Routing order: the first plugin that handles an event wins.", default=("optout", "remind", "rules", "echo")
    )
    host: str = setting(
        "Address to listen on; beyond loopback the chat page and the metrics ask for a token.", default="127.0.0.1"
    )
    port: int = setting("Port to listen on.", default=8080)
    public: bool = setting("Let everyone who reaches the chat page use it without a token.", default=False)
    public_url: str = setting(
        "The address under which others reach this service, for example behind a proxy; the tokens are then asked for.",
        default="",
    )
    hosts: tuple[str, ...] = setting(
        "Host names under which the chat page may be opened, besides the bound one.", default=()
    )
    chat_token: Secret = setting(
        "Token of the chat link beyond loopback (empty: a new one at every start).", default=Secret()
    )
    metrics_token: Secret = setting("Bearer token for /metrics (beyond loopback one is required).", default=Secret())
    metrics_port: int = setting("A port of its own for /metrics, on loopback (0: none).", default=0)
    log_level: typing.Literal["debug", "info", "warning", "error"] = setting(
        "Log lines of this level and above.", default="info"
    )
    turns: int = setting(
        "Turns that run at the same time, at most; as many again may wait for the store to keep what they did.",
        default=64,
    )
    turn_seconds: float = setting("Seconds that one turn may take.", default=120.0)
    sends: int = setting("Deliveries that are under way at the same time, at most.", default=128)
    linger: float = setting(
        "Seconds to keep the doors open after SIGTERM, not ready, until load balancers have noticed.", default=0.0
    )
    store: Secret = setting(
        "Where the line is kept: empty for one SQLite file in the data folder, or postgresql://USER@HOST/DATABASE.",
        default=Secret(),
    )
    private_hosts: tuple[str, ...] = setting(
        "Hosts beyond the public internet that tasks may call, by the name or address in the URL.", default=()
    )
    store_connections: int = setting("Connections to PostgreSQL that this process opens, at most (2 to 50).", default=4)
    cache: Cache = setting("The shared cache.", default=Cache())
    encryption_key: Secret = setting(
        "Key for the tokens that platforms granted, the same on all replicas (empty: our own, in the data folder).",
        default=Secret(),
    )
    most_waiting: int = setting(
        "Messages that may wait; beyond that platforms are asked to come back later.", default=50_000
    )
    retention: Retention = setting("How long things are kept.", default=Retention())
    archive: Archive = setting("Conversations in object storage.", default=Archive())
    backup: Backup = setting("The second copy of the store, in object storage.", default=Backup())
    backup_copy: Bucket = setting("The third copy: another bucket, in another region.", default=Bucket())
    traces: Traces = setting("Traces for OpenTelemetry.", default=Traces())


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """What every account has, whatever its platform."""

    platform: str = setting("The platform's name, for example slack.", default="")
    enabled: bool = setting("Switch the account on or off.", default=True)
    plugins: tuple[str, ...] | None = setting(
        "Routing order of this account, instead of the general one.", default=None
    )
    sends_per_second: float | None = setting(
        "Deliveries a second of this account, where its own limit is not the platform's usual one.", default=None
    )
    messages_per_minute: int | None = setting(
        "Messages of one sender that are answered in a minute, at most; 0: any number "
        "(default: 60, and any number for the generic webhook, whose callers are your own).",
        default=None,
    )
    answer: typing.Literal["addressed", "always"] = setting(
        "In groups answer only when addressed, or always.", default="addressed"
    )
    permit: typing.Literal["everyone"] | tuple[str, ...] = setting(
        "Whom to answer: everyone, or a list of ids.", default="everyone"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """Tables as read, and for every dotted key where it was set."""

    tables: dict[str, Any]
    sources: dict[str, str]
    source: str
    folder: Path

    def where(self, key: str) -> str:
        """Name the file or variable that set a key, or the file in which it should stand."""
        return self.sources.get(key, self.source)


def data_folder(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """Return the data folder: `--data`, `DRAGOMAN_DATA`, or the platform's user data folder."""
    named = explicit or environ.get("DRAGOMAN_DATA")
    return Path(named).expanduser().absolute() if named else platformdirs.user_data_path("dragoman")


def find(explicit: str | None, environ: Mapping[str, str], working: Path, data: Path) -> Path | None:
    """Find the configuration: `--config`, `DRAGOMAN_CONFIG`, the working folder, the data folder."""
    named = explicit or environ.get("DRAGOMAN_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(str(path), "", "there is no such file", "check --config and DRAGOMAN_CONFIG")
        return path
    return next((path for path in (working / FILE, data / FILE) if path.is_file()), None)


def read(path: Path | None, environ: Mapping[str, str], working: Path) -> Document:
    """Read a file (or none) and the environment over it; raises `ConfigError`."""
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(str(path), "", f"cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(str(path), "", f"is not TOML: {error}") from error
    folder = path.parent if path else working
    source = str(path) if path else "configuration"
    document = Document(tables=tables, sources={}, source=source, folder=folder)
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in OUTSIDE:
            override(document, name, environ[name])
    return document


def override(document: Document, name: str, value: str) -> None:
    """Set one key from a variable: `DRAGOMAN_ACCOUNTS__SUPPORT__BOT_TOKEN` is accounts.support.bot_token."""
    table, path = document.tables, []
    *parents, last = name.removeprefix(PREFIX).lower().split("__")
    for part in parents:
        known = next((key for key in table if key.replace("-", "_").lower() == part), part)
        path.append(known)
        below = table.setdefault(known, {})
        if not isinstance(below, dict):
            raise ConfigError(name, ".".join(path), "is not a table")
        table = below
    table[last] = value
    document.sources[".".join([*path, last])] = name


def build_settings(document: Document, environ: Mapping[str, str]) -> Settings:
    """Build the settings of the service, beside the tables that others read; raises `ConfigError`."""
    apart = ("accounts", "plugin", "tasks")
    return build(document, "", Settings, environ, ignore=apart, also=apart)


def build(
    document: Document,
    key: str,
    kind: type[T],
    environ: Mapping[str, str],
    *,
    ignore: Iterable[str] = (),
    also: Iterable[str] = (),
    fixed: Mapping[str, Any] | None = None,
) -> T:
    """Build the table at a dotted key into a dataclass; raises `ConfigError`.

    `ignore` are keys of the table that others read; `also` are their names for suggestions; `fixed` are
    fields that the table may not set.
    """
    table, annotations = table_at(document, key), hints(typing.cast("Any", kind))
    fixed, skipped = fixed or {}, set(ignore)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # kind is a dataclass
    prefix = f"{key}." if key else ""
    given = {name: value for name, value in table.items() if name not in skipped}
    _refuse_unknown(document, prefix, given, (set(fields) - set(fixed)) | set(also))
    values = {
        name: _resolve(document, f"{prefix}{name}", annotations[name], value, environ) for name, value in given.items()
    }
    _refuse_missing(document, prefix, fields.values(), {**values, **fixed})
    return _validate(document, prefix, kind, values, fixed)


def table_at(document: Document, key: str) -> dict[str, Any]:
    """Return the table at a dotted key, empty when it is not there; raises `ConfigError` when it is no table."""
    table: Any = document.tables
    for part in key.split(".") if key else ():
        table = table.get(part, {})
        if not isinstance(table, dict):
            raise ConfigError(document.where(key), key, "should be a table", f"write [{key}]")
    result: dict[str, Any] = table
    return result


@functools.cache
def hints(kind: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields."""
    return typing.get_type_hints(kind)


def nearest(name: str, names: Iterable[str]) -> str:
    """Word the nearest valid name as a remedy."""
    valid = sorted(names)
    close = difflib.get_close_matches(name, valid, 1, 0.5)
    return f"did you mean {close[0]}?" if close else f"valid here: {', '.join(valid)}"


def _refuse_unknown(document: Document, prefix: str, given: Mapping[str, Any], names: set[str]) -> None:
    for name in given:
        if name not in names:
            key = f"{prefix}{name}"
            raise ConfigError(_where_in(document, key), key, "is not a setting", nearest(name, names))


def _where_in(document: Document, key: str) -> str:
    """Name the source of a key, or of the first key below it (an unknown table from a variable)."""
    below = (source for known, source in document.sources.items() if known.startswith(f"{key}."))
    return document.sources.get(key) or next(below, document.source)


def _refuse_missing(
    document: Document, prefix: str, fields: Iterable[dataclasses.Field[Any]], values: Mapping[str, Any]
) -> None:
    for field in fields:
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and (field.name not in values or values[field.name] in ("", [])):
            variable = PREFIX + f"{prefix}{field.name}".replace(".", "__").replace("-", "_").upper()
            raise ConfigError(
                document.source, f"{prefix}{field.name}", "is required and missing", f"set it there, or {variable}"
            )


def _resolve(document: Document, key: str, hint: Any, value: Any, environ: Mapping[str, str]) -> Any:
    """Follow a reference, read a variable's text as its type, and make a path absolute."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        built = build(document, key, hint, environ)
        return {field.name: getattr(built, field.name) for field in dataclasses.fields(built)}
    kinds = {hint, *typing.get_args(hint)} if isinstance(hint, types.UnionType) else {hint}
    if isinstance(value, list) and Secret in kinds:
        return [refer(document, key, item, environ) for item in value]
    if isinstance(value, str) and (Secret in kinds or (str in kinds and key.startswith("accounts."))):
        return refer(document, key, value, environ)
    if isinstance(value, str) and key in document.sources and not kinds & {str, Path}:
        return from_text(value, lists=any(typing.get_origin(option) is tuple for option in kinds))
    if isinstance(value, str) and Path in kinds:
        return str((document.folder / Path(value).expanduser()).resolve())
    return value


def refer(document: Document, key: str, value: Any, environ: Mapping[str, str]) -> Any:
    """Read a reference (`env:NAME`, `file:PATH`); anything else stands for itself. Raises `ConfigError`."""
    scheme, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon:
        return value
    if scheme == "env":
        if not environ.get(rest):
            raise ConfigError(document.where(key), key, f"the environment variable {rest} is not set")
        return environ[rest]
    if scheme == "file":
        path = document.folder / Path(rest).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(document.where(key), key, f"{path} cannot be read: {reason}") from error
    return value


def from_text(text: str, *, lists: bool) -> Any:
    """Read a variable's text as a TOML value; where a list may stand, names divided by commas are one."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return [part.strip() for part in text.split(",")] if lists and text != "everyone" else text


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _validate(document: Document, prefix: str, kind: type[T], values: Mapping[str, Any], fixed: Mapping[str, Any]) -> T:
    try:
        body = msgspec.json.encode({**values, **fixed}, enc_hook=_plain)
        built: T = _adapter(typing.cast("Any", kind)).validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"][:1]) or "?"
        key = f"{prefix}{name}" if first["loc"] else prefix.rstrip(".")
        raise ConfigError(document.where(key), key, first["msg"].removeprefix("Value error, ")) from None
    return built


def _plain(value: Any) -> Any:
    """Return a value of a table that is built already as it would stand in the file."""
    return (list(value.candidates()) or "") if isinstance(value, Secret) else str(value)


def shown(value: Any) -> Any:
    """Return settings as plain data with every secret hidden."""
    if isinstance(value, Secret):
        return "***" if value else ""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: shown(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): shown(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [shown(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


class _Schema(GenerateJsonSchema):
    """Leaves out a default that holds a secret: a table of secrets is empty by default."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}


def schema_of(kind: type, title: str = "") -> dict[str, Any]:
    """Return the JSON Schema of one settings class, with the meaning of every field; nothing else is allowed."""
    schema = _adapter(kind).json_schema(schema_generator=_Schema)
    _describe(schema, kind)
    for hint in hints(kind).values():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            _describe(schema["$defs"][hint.__name__], hint)
    schema["title"] = title or kind.__name__
    return schema


def _describe(schema: dict[str, Any], kind: Any) -> None:
    """Put the meaning of every field into a schema, and allow no other."""
    properties: dict[str, Any] = schema.get("properties", {})
    for field in dataclasses.fields(kind):
        if field.name in properties:
            properties[field.name] = {**properties[field.name], "description": field.metadata.get("help", "")}
    schema["additionalProperties"] = False
