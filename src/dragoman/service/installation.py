"""An installation: where its data and configuration are, and the settings, accounts and plugins that follow."""

import contextlib
import dataclasses
import os
import secrets
import tempfile
from collections.abc import Collection, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from dragoman import adapters, config, plugins
from dragoman.adapter import Adapter
from dragoman.config import AccountSettings, Document, Settings
from dragoman.engine.plugin import Loaded, Plugin
from dragoman.engine.route import Policy
from dragoman.errors import ConfigError, PluginError
from dragoman.flow.account import Account
from dragoman.flow.task import Task
from dragoman.service import tasks

MESSAGES_PER_MINUTE: Final = 60
"""Messages of one sender that are answered in a minute, unless an account says otherwise."""
BUILT_IN: Final = {"web": "web", "terminal": "terminal"}
"""Accounts that every installation has: name to platform."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Installation:
    """One bot on one machine, as its files and environment describe it."""

    data: Path
    document: Document
    settings: Settings
    environ: Mapping[str, str]
    path: Path
    """The configuration file."""
    created: bool = False
    """True when this very start wrote the configuration."""

    @property
    def database(self) -> Path:
        """The embedded store's file."""
        return self.data / "dragoman.db"

    @property
    def control(self) -> Path:
        """The control socket of the running service."""
        return self.data / "dragoman.sock"


def load(
    *,
    data: str | None,
    configuration: str | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    create: bool = True,
    bare: bool = False,
) -> Installation:
    """Read an installation; if it has no configuration, write its first, or (`create=False`) say so.

    `bare`: go on with what the environment says.

    Raises `ConfigError`.
    """
    folder = config.data_folder(data, environ)
    path = config.find(configuration, environ, Path.cwd(), folder)
    created = path is None and not bare
    if path is None and not create and not bare:
        raise ConfigError(str(folder), "", "there is no configuration and no data yet", "start with `dragoman run`")
    if path is None and not bare:
        path = first_configuration(folder)
    document = config.read(path, environ, Path.cwd())
    for name, value in overrides.items():
        if value is not None:
            document.tables[name] = value
            document.sources[name] = f"--{name}"
    settings = config.build_settings(document, environ)
    _check(document, settings)
    path = path or folder / config.FILE
    return Installation(data=folder, document=document, settings=settings, environ=environ, path=path, created=created)


def reread(installation: Installation) -> Installation:
    """Read the file and the references of an installation again; raises `ConfigError`."""
    document = config.read(installation.path, installation.environ, Path.cwd())
    return dataclasses.replace(installation, document=document)


BOUNDS: Final = {
    "port": (0, 65_535),
    "metrics_port": (0, 65_535),
    "turns": (1, 10_000),
    "turn_seconds": (0.1, 86_400),
    "sends": (1, 1_000),
    "linger": (0, 10),
    "most_waiting": (1, 10_000_000),
    "store_connections": (2, 50),
    "retention.messages": (config.LEAST_DAYS, 36_500),
    "retention.raw": (0, 36_500),
    "retention.media": (0, 36_500),
    "archive.days": (0, 36_500),
    "backup.seconds": (0.5, 600),
    "backup.snapshot_hours": (0.01, 720),
    "backup.days": (1, 3_650),
    "backup.drill_days": (0, 365),
    "traces.sample": (0, 1),
}
"""The least and the most of each number."""


def _check(document: Document, settings: Settings) -> None:
    for key, (least, most) in BOUNDS.items():
        value: Any = settings
        for part in key.split("."):
            value = getattr(value, part)
        if value is None:
            continue
        hint = "platforms repeat messages for 7 days" if key == "retention.messages" else ""
        if value < least:
            raise ConfigError(document.where(key), key, f"must be at least {least}", hint)
        if value > most:
            raise ConfigError(document.where(key), key, f"must be at most {most}")


def first_configuration(folder: Path) -> Path:
    """Write the first configuration, its webhook token and its rules into the data folder; returns its path."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_once(folder / "webhook.token", secrets.token_urlsafe(32) + "\n")
        rules = resources.files("dragoman.plugins") / "rules.yaml"
        _write_once(folder / "rules.yaml", rules.read_text(encoding="utf-8"))
        template = resources.files("dragoman.service") / "first.toml"
        _write_once(folder / config.FILE, template.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(folder), "", f"cannot be written: {error.strerror}", "choose another --data") from error
    return folder / config.FILE


def _write_once(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all, unless it is there already."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()


def load_plugins(installation: Installation) -> dict[str, Loaded]:
    """Load every plugin that a routing order, a task or a `[plugin.NAME]` table names; raises `ConfigError`."""
    return {name: load_plugin(installation, name, key) for name, key in plugin_names(installation).items()}


def plugin_names(installation: Installation) -> dict[str, str]:
    """Name every plugin that is to be loaded, each with the key that names it; raises `ConfigError`."""
    document = installation.document
    wanted = dict.fromkeys(installation.settings.plugins, "plugins")
    for account in config.table_at(document, "accounts"):
        key = f"accounts.{account}.plugins"
        order = config.table_at(document, f"accounts.{account}").get("plugins") or ()
        order = config.from_text(order, lists=True) if isinstance(order, str) else order
        wanted |= {str(name): key for name in order if str(name) not in wanted}
    wanted |= {name: f"plugin.{name}" for name in config.table_at(document, "plugin") if name not in wanted}
    return wanted | {name: key for name, key in tasks.needs(document) if name not in wanted}


def load_plugin(installation: Installation, name: str, named_by: str) -> Loaded:
    """Load one plugin with its settings; raises `ConfigError`."""
    document, key = installation.document, f"plugin.{name}"
    table = config.table_at(document, key)
    use = str(table.get("use", name))
    if use.endswith(".py"):
        use = str((document.folder / Path(use).expanduser()).resolve())
    elif ":" not in use and use not in plugins.names():
        where = f"{key}.use" if "use" in table else named_by
        raise ConfigError(
            document.where(where), where, f"there is no plugin {use!r}", config.nearest(use, plugins.names())
        )
    try:
        plugin: Plugin = plugins.load(use)
    except PluginError as error:
        raise ConfigError(document.where(key), key, str(error)) from error
    settings: Any = None
    if plugin.settings is not None:
        settings = config.build(document, key, plugin.settings, installation.environ, ignore=("use",), also=("use",))
    elif set(table) - {"use"}:
        unknown = f"{key}.{min(set(table) - {'use'})}"
        raise ConfigError(document.where(unknown), unknown, "is not a setting", "this plugin has none")
    return Loaded(name=name, plugin=plugin, settings=settings)


def load_tasks(
    installation: Installation, accounts: Iterable[Account], loaded: Mapping[str, Loaded]
) -> dict[str, Task]:
    """Read and check all tasks; raises `ConfigError`."""
    return tasks.load(installation.document, installation.environ, accounts, loaded)


def load_accounts(installation: Installation, loaded: Mapping[str, Loaded]) -> list[Account]:
    """Build all accounts that are switched on, the built-in ones too; raises `ConfigError`."""
    accounts = (load_account(installation, name, loaded) for name in account_names(installation))
    return [account for account in accounts if account is not None]


def account_names(installation: Installation) -> list[str]:
    """Name all accounts, the built-in ones too; raises `ConfigError`."""
    tables = config.table_at(installation.document, "accounts")
    return [*tables, *(name for name in BUILT_IN if name not in tables)]


def load_account(installation: Installation, name: str, loaded: Mapping[str, Loaded]) -> Account | None:
    """Build one account, None when it is switched off; raises `ConfigError`."""
    document, environ, key = installation.document, installation.environ, f"accounts.{name}"
    if not config.NAME.fullmatch(name):
        raise ConfigError(document.where(key), key, "a name has lower-case letters, digits, - and _ only")
    cls = _adapter_class(document, key, BUILT_IN.get(name, ""))
    own = {field.name for field in dataclasses.fields(AccountSettings)}
    theirs = {field.name for field in dataclasses.fields(cls)} - {"account"}
    common = config.build(document, key, AccountSettings, environ, ignore=theirs, also=theirs)
    if not common.enabled:
        return None
    adapter = config.build(document, key, cls, environ, ignore=own, also=own, fixed={"account": name})
    if common.sends_per_second is not None and common.sends_per_second <= 0:
        key = f"{key}.sends_per_second"
        raise ConfigError(document.where(key), key, "must be more than 0")
    for problem in adapter.check():
        raise ConfigError(document.source, key, problem)
    order = installation.settings.plugins if common.plugins is None else common.plugins
    permit = common.permit if common.permit == "everyone" else frozenset(common.permit)
    return Account(
        name=name,
        adapter=adapter,
        policy=Policy(
            answer=common.answer,
            permit=permit,
            joins_threads=adapter.capabilities.threads and (adapter.conversation or adapter.unit) == "thread",
        ),
        plugins=tuple(_in_order(document, key, order, loaded)),
        sends_per_second=common.sends_per_second,
        messages_per_minute=_messages_per_minute(common, adapter),
    )


def _messages_per_minute(common: AccountSettings, adapter: Adapter) -> int:
    if common.messages_per_minute is not None:
        return max(0, common.messages_per_minute)
    return 0 if adapter.explains else MESSAGES_PER_MINUTE


def _in_order(document: Document, key: str, order: Iterable[str], loaded: Mapping[str, Loaded]) -> Iterable[Loaded]:
    for name in order:
        if name not in loaded:  # named since the start: plugins are loaded once
            raise ConfigError(
                document.where(f"{key}.plugins"), f"{key}.plugins", f"{name} needs a restart to be loaded"
            )
        yield loaded[name]


def _adapter_class(document: Document, key: str, default: str) -> type[Adapter]:
    platform = config.table_at(document, key).get("platform", default)
    if not platform:
        names = ", ".join(adapters.names())
        raise ConfigError(document.where(key), f"{key}.platform", "is required and missing", f"one of {names}")
    try:
        return adapters.load(str(platform))
    except LookupError as error:
        remedy = config.nearest(str(platform), adapters.names())
        where = document.where(f"{key}.platform")
        raise ConfigError(where, f"{key}.platform", f"there is no platform {platform!r}", remedy) from error
    except TypeError as error:
        raise ConfigError(document.where(key), f"{key}.platform", str(error)) from error


def effective(
    installation: Installation, accounts: Collection[Account], loaded: Mapping[str, Loaded]
) -> dict[str, Any]:
    """Return the effective settings as plain data, secrets hidden; raises `ConfigError`."""
    return {
        **config.shown(installation.settings),
        "accounts": {account.name: _effective_account(account) for account in accounts},
        "plugin": {name: config.shown(plugin.settings) or {} for name, plugin in loaded.items()},
        "tasks": tasks.effective(load_tasks(installation, accounts, loaded)),
    }


def _effective_account(account: Account) -> dict[str, Any]:
    return {
        "platform": account.platform,
        "plugins": [plugin.name for plugin in account.plugins],
        "answer": account.policy.answer,
        "permit": config.shown(account.policy.permit),
        "sends_per_second": account.sends_per_second,
        "messages_per_minute": account.messages_per_minute,
        **{name: value for name, value in config.shown(account.adapter).items() if name != "account"},
    }


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `dragoman.toml`: the service, every platform's accounts, every shipped plugin."""
    whole = config.schema_of(Settings, "dragoman.toml")
    variants = [_account_schema(name) for name in adapters.names()]
    built_in = {name: {**_account_schema(platform), "required": []} for name, platform in BUILT_IN.items()}
    whole["properties"]["accounts"] = {
        "description": "One bot identity on one platform each; the table's name is the account's.",
        "type": "object",
        "propertyNames": {"pattern": f"^{config.NAME.pattern}$"},
        "properties": built_in,
        "additionalProperties": {"oneOf": variants},
    }
    whole["properties"]["plugin"] = {
        "description": "Settings of plugins, by the name in the routing order.",
        "type": "object",
        "properties": {name: _plugin_schema(name) for name in plugins.SHIPPED},
        "additionalProperties": {"type": "object"},
    }
    whole["properties"]["tasks"] = tasks.schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _account_schema(name: str) -> dict[str, Any]:
    own = config.schema_of(AccountSettings)
    theirs = config.schema_of(adapters.load(name), adapters.load(name).title)
    properties = {**own["properties"], **theirs["properties"], "platform": {"const": name}}
    properties.pop("account", None)
    return {
        "title": theirs["title"],
        "type": "object",
        "properties": properties,
        "required": ["platform", *theirs.get("required", [])],
        "additionalProperties": False,
        **({"$defs": theirs["$defs"]} if "$defs" in theirs else {}),
    }


def _plugin_schema(name: str) -> dict[str, Any]:
    settings = plugins.load(name).settings
    use = {"use": {"type": "string", "description": "The plugin to use under this name."}}
    if settings is None:
        return {"type": "object", "properties": use, "additionalProperties": False}
    described = config.schema_of(settings, name)
    described["properties"] = {**use, **described["properties"]}
    return described
