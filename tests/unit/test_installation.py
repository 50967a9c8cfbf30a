"""An installation end to end: its first configuration, its plugins and accounts, and what it shows of itself."""

import json
import stat
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from dragoman import adapters, config, plugins
from dragoman.errors import ConfigError
from dragoman.flow.account import Account
from dragoman.service import installation
from dragoman.service.installation import Installation

OWN_PLUGIN = """
from dragoman.engine.plugin import Plugin
plugin = Plugin("own")
"""
PROCESSOR = """
class plugin:
    async def process(self, context):
        context["response"] = "hello"
        return context
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has no configuration of its own."""
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def load(
    folder: Path, text: str | None = None, overrides: Mapping[str, Any] | None = None, **environ: str
) -> Installation:
    """Load an installation, with this configuration or with its first one."""
    if text is not None:
        folder.mkdir(exist_ok=True)
        (folder / "dragoman.toml").write_text(text, encoding="utf-8")
    return installation.load(data=str(folder), configuration=None, environ=environ, overrides=overrides or {})


def accounts(found: Installation) -> dict[str, Account]:
    return {account.name: account for account in installation.load_accounts(found, installation.load_plugins(found))}


def refusal(folder: Path, text: str, **environ: str) -> str:
    """Return the line with which an installation is refused."""
    with pytest.raises(ConfigError) as refused:
        accounts(load(folder, text, None, **environ))
    return str(refused.value)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# The first start


def test_the_first_start_writes_a_configuration_that_works(folder: Path) -> None:
    found = load(folder)

    assert found.created
    assert set(accounts(found)) == {"webhook", "web", "terminal"}
    assert found.settings.plugins == ("optout", "remind", "rules", "echo")
    assert (found.database, found.control) == (folder / "dragoman.db", folder / "dragoman.sock")


def test_the_first_configuration_is_its_owners_alone(folder: Path) -> None:
    load(folder)

    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "dragoman.toml": 0o600,
        "rules.yaml": 0o600,
        "webhook.token": 0o600,
    }


def test_the_webhook_token_is_made_for_this_installation(folder: Path, tmp_path: Path) -> None:
    tokens = set()
    for place in (folder, tmp_path / "other"):
        load(place)
        tokens.add((place / "webhook.token").read_text(encoding="utf-8").strip())

    assert len(tokens) == 2
    assert min(map(len, tokens)) >= 32


def test_the_second_start_changes_nothing(folder: Path) -> None:
    load(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}

    again = load(folder)

    assert not again.created
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_files_that_are_there_are_not_overwritten(folder: Path) -> None:
    folder.mkdir()
    (folder / "webhook.token").write_text("mine", encoding="utf-8")

    load(folder)

    assert (folder / "webhook.token").read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"cannot be written: .* \(choose another --data\)"):
        load(tmp_path / "file" / "data")


# Settings


def test_a_command_line_option_wins_over_variable_and_file(folder: Path) -> None:
    found = load(folder, "port = 1\nhost = 'file'", {"port": 3, "host": None}, DRAGOMAN_PORT="2")

    assert (found.settings.port, found.settings.host) == (3, "file")


def test_a_wrong_option_is_refused_by_its_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--port: port: "):
        load(folder, "", {"port": -1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "prot: is not a setting (did you mean port?)"),
        ("[account.a]", "account: is not a setting (did you mean accounts?)"),
        ("[plugins.echo]", "plugins: Input should be a valid array"),
        ("turns = 0", "turns: must be at least 1"),
        ("sends = 0", "sends: must be at least 1"),
        ("most_waiting = 0", "most_waiting: must be at least 1"),
        ("port = -1", "port: must be at least 0"),
        ("port = 65536", "port: must be at most 65535"),
        ("retention = { messages = 7 }", "retention.messages: must be at least 8 (platforms repeat"),
        ("retention = { raw = -1 }", "retention.raw: must be at least 0"),
        ("turn_seconds = 0", "turn_seconds: "),
    ],
)
def test_a_setting_out_of_bounds_is_refused(folder: Path, text: str, message: str) -> None:
    assert refusal(folder, text).startswith(f"{folder / 'dragoman.toml'}: {message}")


def test_the_data_folder_is_named_by_option_or_variable(tmp_path: Path) -> None:
    assert config.data_folder(str(tmp_path), {"DRAGOMAN_DATA": "/other"}) == tmp_path
    assert config.data_folder(None, {"DRAGOMAN_DATA": str(tmp_path)}) == tmp_path
    assert config.data_folder("here", {}) == Path.cwd() / "here"
    assert config.data_folder(None, {}).name == "dragoman"


# Plugins


def test_plugins_are_loaded_in_their_order_and_from_every_table(folder: Path) -> None:
    found = load(folder, 'plugins = ["echo", "rules"]\n[plugin.spare]\nuse = "echo"\ntemplate = "{text}!"')

    loaded = installation.load_plugins(found)

    assert list(loaded) == ["echo", "rules", "spare", "tasks"]
    assert loaded["spare"].plugin is loaded["echo"].plugin
    assert (loaded["echo"].settings.template, loaded["spare"].settings.template) == ("echo: {text}", "{text}!")


@pytest.mark.parametrize("source", [OWN_PLUGIN, PROCESSOR], ids=["a plugin", "a class with process"])
def test_a_plugin_may_stand_in_a_file_beside_the_configuration(folder: Path, source: str) -> None:
    folder.mkdir()
    (folder / "own.py").write_text(source, encoding="utf-8")
    found = load(folder, 'plugins = ["own", "echo"]\n[plugin.own]\nuse = "own.py"')

    assert [plugin.name for plugin in accounts(found)["web"].plugins] == ["own", "echo"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('plugins = ["ruls"]', "did you mean rules?"),
        ('plugins = ["echo"]\n[plugin.ruls]\nuse = "ruls"', "did you mean rules?"),
        ('plugins = ["own"]\n[plugin.own]\nuse = "absent.py"', "plugin.own: "),
        ('plugins = ["own"]\n[plugin.own]\nuse = "broken.py"', "ZeroDivisionError"),
        ("[plugin.echo]\ntempalte = 'x'", "plugin.echo.tempalte: is not a setting (did you mean template?)"),
        ("[plugin.echo]\ntemplate = 7", "plugin.echo.template: Input should be a valid string"),
        ("[plugin.echo]\ntemplate = '{txet}'", "plugin.echo"),
        ("[plugin.echo]\nuse = 7", "plugin.echo"),
        ('[plugin.own]\nuse = "own.py"\ncolour = "red"', "plugin.own.colour: is not a setting (this plugin has none)"),
    ],
)
def test_a_wrong_plugin_is_refused_with_the_remedy(folder: Path, text: str, message: str) -> None:
    folder.mkdir()
    (folder / "own.py").write_text(OWN_PLUGIN, encoding="utf-8")
    (folder / "broken.py").write_text("1 / 0", encoding="utf-8")

    refused = refusal(folder, text)

    assert refused.startswith(str(folder / "dragoman.toml"))
    assert message in refused


# Accounts

WEBHOOK = '[accounts.hook]\nplatform = "webhook"\ntoken = "t"\n'


def test_an_account_may_have_its_own_routing_order(folder: Path) -> None:
    found = accounts(load(folder, f'plugins = ["rules", "echo"]\n{WEBHOOK}plugins = ["echo"]'))

    assert [plugin.name for plugin in found["hook"].plugins] == ["echo"]
    assert [plugin.name for plugin in found["web"].plugins] == ["rules", "echo"]


def test_a_variable_may_give_an_account_its_own_routing_order(folder: Path) -> None:
    found = accounts(load(folder, f'plugins = ["rules"]\n{WEBHOOK}', DRAGOMAN_ACCOUNTS__HOOK__PLUGINS='["echo"]'))

    assert [plugin.name for plugin in found["hook"].plugins] == ["echo"]


def test_an_account_may_be_silent(folder: Path) -> None:
    assert accounts(load(folder, f"{WEBHOOK}plugins = []"))["hook"].plugins == ()


def test_an_account_that_is_switched_off_is_left_out(folder: Path) -> None:
    assert "hook" not in accounts(load(folder, f"{WEBHOOK}enabled = false"))


def test_the_settings_of_an_account_are_its_adapters_and_its_manners(folder: Path) -> None:
    text = f'{WEBHOOK}reply_within = 3\nanswer = "always"\npermit = ["u1", "u2"]\nsends_per_second = 5'
    account = accounts(load(folder, text))["hook"]

    assert account.adapter.account == "hook"
    assert getattr(account.adapter, "reply_within") == 3.0  # noqa: B009 - only this platform has it
    assert account.policy.answer == "always"
    assert account.policy.permit == frozenset({"u1", "u2"})
    assert account.sends_per_second == 5.0


def test_everyone_is_answered_unless_told_otherwise(folder: Path) -> None:
    account = accounts(load(folder, WEBHOOK))["hook"]

    assert (account.policy.answer, account.policy.permit) == ("addressed", "everyone")


def test_a_built_in_account_can_be_set_too(folder: Path) -> None:
    assert accounts(load(folder, "[accounts.web]\npermit = ['u1']"))["web"].policy.permit == frozenset({"u1"})


def test_a_variable_makes_an_account(folder: Path) -> None:
    found = load(folder, "", DRAGOMAN_ACCOUNTS__HOOK__PLATFORM="webhook", DRAGOMAN_ACCOUNTS__HOOK__TOKEN="env:T", T="t")

    assert accounts(found)["hook"].platform == "webhook"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[accounts.a]\ntoken = "t"', "accounts.a.platform: is required and missing (one of webhook, web, terminal"),
        ('[accounts.a]\nplatform = "slak"', "accounts.a.platform: there is no platform 'slak' (did you mean slack?)"),
        ("[accounts.a]\nplatform = 7", "accounts.a.platform: "),
        ("accounts = 7", "accounts: should be a table"),
        ("[accounts]\na = 7", "accounts.a: should be a table"),
        ('[accounts."My Bot"]\nplatform = "webhook"\ntoken = "t"', "accounts.My Bot: a name has lower-case letters"),
        ('[accounts."-a"]\nplatform = "webhook"\ntoken = "t"', "accounts.-a: a name has lower-case letters"),
        (f'[accounts.{"a" * 65}]\nplatform = "webhook"\ntoken = "t"', f"accounts.{'a' * 65}: a name has"),
        ('[accounts.a]\nplatform = "webhook"', "accounts.a: token or secret is required"),
        (f"{WEBHOOK}reply_within = 301", "accounts.hook: reply_within must be between"),
        (f"{WEBHOOK}reply_withn = 3", "accounts.hook.reply_withn: is not a setting (did you mean reply_within?)"),
        (f'{WEBHOOK}answer = "never"', "accounts.hook.answer: Input should be 'addressed' or 'always'"),
        (f'{WEBHOOK}permit = "nobody"', "accounts.hook.permit: "),
        (f"{WEBHOOK}permit = [7]", "accounts.hook.permit: "),
        (f'{WEBHOOK}plugins = "echo"', "accounts.hook.plugins: Input should be a valid array"),
        (f'{WEBHOOK}plugins = ["ecoh"]', "did you mean echo?"),
        (f'{WEBHOOK}account = "other"', "accounts.hook.account: is not a setting"),
        (f"{WEBHOOK}sends_per_second = 0", "accounts.hook.sends_per_second: "),
    ],
)
def test_a_wrong_account_is_refused_with_the_remedy(folder: Path, text: str, message: str) -> None:
    refused = refusal(folder, text)

    assert refused.startswith(str(folder / "dragoman.toml"))
    assert message in refused


# What it shows


def test_what_is_in_effect_is_shown_without_secrets(folder: Path) -> None:
    found = load(folder, f'chat_token = "hunter1"\n{WEBHOOK}secret = ["hunter2", "hunter3"]', DRAGOMAN_PORT="9")
    loaded = installation.load_plugins(found)

    shown = installation.effective(found, installation.load_accounts(found, loaded), loaded)

    assert "hunter" not in json.dumps(shown)
    assert (shown["port"], shown["chat_token"], shown["metrics_token"]) == (9, "***", "")
    hook = shown["accounts"]["hook"]
    assert (hook["platform"], hook["token"], hook["secret"]) == ("webhook", "***", "***")
    assert (hook["plugins"], hook["permit"], hook["reply_within"]) == (
        ["optout", "remind", "rules", "echo"],
        "everyone",
        25.0,
    )
    assert shown["plugin"]["echo"] == {"template": "echo: {text}"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return installation.schema()


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Walk over all objects of a schema."""
    if isinstance(value, dict):
        yield value
    for below in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(below)


def variant(schema: dict[str, Any], platform: str) -> dict[str, Any]:
    """Return the schema of one platform's accounts: exactly one admits its name."""
    variants = schema["properties"]["accounts"]["additionalProperties"]["oneOf"]
    (found,) = [one for one in variants if one["properties"]["platform"]["const"] == platform]
    return dict(found)


def test_the_schema_is_plain_json(schema: dict[str, Any]) -> None:
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_reference_of_the_schema_leads_somewhere(schema: dict[str, Any]) -> None:
    references = [node["$ref"] for node in nodes(schema) if isinstance(node.get("$ref"), str)]

    assert references
    for reference in references:
        target: Any = schema
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_the_schema_has_every_platform_and_shipped_plugin(schema: dict[str, Any]) -> None:
    variants = schema["properties"]["accounts"]["additionalProperties"]["oneOf"]

    assert {one["properties"]["platform"]["const"] for one in variants} == set(adapters.names())
    assert set(schema["properties"]["plugin"]["properties"]) == set(plugins.SHIPPED)


def test_the_schema_explains_every_setting(schema: dict[str, Any]) -> None:
    variants = schema["properties"]["accounts"]["additionalProperties"]["oneOf"]
    described = [schema, *variants, *schema["properties"]["plugin"]["properties"].values()]

    for node in described:
        for name, setting in node["properties"].items():
            assert setting.get("description") or "const" in setting, name


def test_the_schema_admits_the_first_configuration(schema: dict[str, Any]) -> None:
    first = tomllib.loads((resources.files("dragoman.service") / "first.toml").read_text(encoding="utf-8"))

    assert set(first) <= set(schema["properties"])
    assert not set(schema.get("required", ())) - set(first)
    for account in first["accounts"].values():
        admitted = variant(schema, account["platform"])
        assert set(admitted["required"]) <= set(account) <= set(admitted["properties"])
    for name, table in first["plugin"].items():
        assert set(table) <= set(schema["properties"]["plugin"]["properties"][name]["properties"])


def test_the_schema_admits_a_built_in_account_without_its_platform(schema: dict[str, Any]) -> None:
    named = schema["properties"]["accounts"].get("properties", {})

    assert set(installation.BUILT_IN) <= set(named)
    assert all("platform" not in named[name].get("required", ()) for name in installation.BUILT_IN)


def test_the_schema_allows_the_names_that_the_program_allows(schema: dict[str, Any]) -> None:
    assert schema["properties"]["accounts"]["propertyNames"]["pattern"] == f"^{config.NAME.pattern}$"
