"""Settings: every refusal says where, which key, why and what to do; the environment overrides; secrets hide."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from dragoman import config
from dragoman.config import AccountSettings, Document, Retention, Settings
from dragoman.errors import ConfigError
from dragoman.model import Secret, setting

NO_ENVIRONMENT: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One setting of every type."""

    token: Secret = setting("A required secret.")
    text: str = setting("A text.", default="")
    number: int = setting("A number.", default=1)
    seconds: float = setting("Seconds.", default=1.0)
    flag: bool = setting("A flag.", default=False)
    names: tuple[str, ...] = setting("Names.", default=())
    maybe: tuple[str, ...] | None = setting("Names, or none.", default=None)
    level: Literal["low", "high"] = setting("A choice.", default="low")
    file: Path = setting("A file.", default=Path("default.yaml"))
    spare: Secret = setting("A secret.", default=Secret())
    keep: Retention = setting("A table.", default=Retention())


def document(tmp_path: Path, text: str, **environ: str) -> Document:
    """Read a configuration file with this text."""
    path = tmp_path / "dragoman.toml"
    path.write_text(text, encoding="utf-8")
    return config.read(path, environ, tmp_path)


def sample(tmp_path: Path, text: str = "", **environ: str) -> Sample:
    """Build the table `[accounts.a]` of a configuration with these lines, and a token if they have none."""
    token = "" if "token" in text else 'token = "t"\n'
    read = document(tmp_path, f"[accounts.a]\n{token}{text}", **environ)
    return config.build(read, "accounts.a", Sample, environ)


def refusal(tmp_path: Path, text: str, **environ: str) -> ConfigError:
    """Return the refusal of these lines."""
    with pytest.raises(ConfigError) as refused:
        sample(tmp_path, text, **environ)
    return refused.value


# What is read


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ('text = "hello"', "text", "hello"),
        ("number = 7", "number", 7),
        ("seconds = 2", "seconds", 2.0),
        ("seconds = 0.5", "seconds", 0.5),
        ("flag = true", "flag", True),
        ('names = ["a", "b"]', "names", ("a", "b")),
        ("names = []", "names", ()),
        ('maybe = ["a"]', "maybe", ("a",)),
        ('level = "high"', "level", "high"),
        ('token = ["new", "old"]', "token", Secret("new", "old")),
        ("keep = { raw = 3 }", "keep", Retention(raw=3)),
    ],
)
def test_a_setting_is_read_as_its_type(tmp_path: Path, line: str, name: str, value: object) -> None:
    assert getattr(sample(tmp_path, line), name) == value


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert sample(tmp_path) == Sample(token=Secret("t"))


def test_an_absent_table_is_an_empty_one(tmp_path: Path) -> None:
    assert config.build(document(tmp_path, ""), "", Settings, NO_ENVIRONMENT) == Settings()


# What is refused

REFUSALS: list[tuple[str, str, str]] = [
    ("number = 1.5", "number", "valid integer"),
    ('number = "7"', "number", "valid integer"),
    ("number = true", "number", "valid integer"),
    ('seconds = "2"', "seconds", "valid number"),
    ("seconds = nan", "seconds", "valid number"),
    ("text = 7", "text", "valid string"),
    ("flag = 1", "flag", "valid boolean"),
    ('flag = "true"', "flag", "valid boolean"),
    ('names = "a"', "names", "valid array"),
    ("names = [1]", "names", "valid string"),
    ('level = "middle"', "level", "'low' or 'high'"),
    ("token = 7", "token", "valid string"),
    ("keep = 7", "keep", "should be a table"),
    ("keep = { raw = 'x' }", "keep.raw", "valid integer"),
    ("keep = { rwa = 1 }", "keep.rwa", "is not a setting (did you mean raw?)"),
    ("nubmer = 1", "nubmer", "is not a setting (did you mean number?)"),
    ("[accounts.a.zzz]", "zzz", "is not a setting (valid here: file, flag, keep"),
    ('token = ""', "token", "is required and missing"),
    ("token = []", "token", "is required and missing"),
    ('token = "env:ABSENT"', "token", "the environment variable ABSENT is not set"),
    ('spare = ["a", "env:ABSENT"]', "spare", "the environment variable ABSENT is not set"),
    ('text = "env:ABSENT"', "text", "the environment variable ABSENT is not set"),
    ('token = "file:absent.token"', "token", "absent.token cannot be read: No such file"),
    ('token = "file:."', "token", "cannot be read: Is a directory"),
    ('token = "file:latin.token"', "token", "latin.token cannot be read: not UTF-8"),
]


@pytest.mark.parametrize(("line", "name", "reason"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_wrong_setting_is_refused_with_file_key_and_reason(tmp_path: Path, line: str, name: str, reason: str) -> None:
    (tmp_path / "latin.token").write_bytes(b"\xff\xfe")

    refused = refusal(tmp_path, line)

    assert str(refused).startswith(f"{tmp_path / 'dragoman.toml'}: accounts.a.{name}: ")
    assert reason in str(refused)
    assert refused.reason


def test_a_missing_secret_is_asked_for_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        config.build(document(tmp_path, "[accounts.my-bot]"), "accounts.my-bot", Sample, NO_ENVIRONMENT)

    assert str(refused.value) == (
        f"{tmp_path / 'dragoman.toml'}: accounts.my-bot.token: is required and missing "
        "(set it there, or DRAGOMAN_ACCOUNTS__MY_BOT__TOKEN)"
    )


def test_an_empty_secret_file_is_a_missing_secret(tmp_path: Path) -> None:
    (tmp_path / "empty.token").write_text("\n", encoding="utf-8")

    assert "is required and missing" in str(refusal(tmp_path, 'token = "file:empty.token"'))


def test_a_refusal_never_quotes_the_value(tmp_path: Path) -> None:
    for line in ('token = ["hunter2", 7]', 'number = "hunter2"', 'level = "hunter2"'):
        assert "hunter2" not in str(refusal(tmp_path, line))


def test_a_file_that_is_no_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dragoman.toml: is not TOML: .*line 2") as refused:
        document(tmp_path, "port = 1\nhost = here\n")

    assert refused.value.key == ""


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dragoman.toml"
    path.write_bytes(b"host = '\xff'")

    with pytest.raises(ConfigError, match=r"dragoman.toml: cannot be read"):
        config.read(path, NO_ENVIRONMENT, tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        config.read(tmp_path, NO_ENVIRONMENT, tmp_path)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"accounts: should be a table \(write \[accounts\]\)"):
        config.table_at(document(tmp_path, "accounts = 7"), "accounts")


# The environment


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "hello", "hello"),
        ("text", "7", "7"),
        ("text", "true", "true"),
        ("number", "7", 7),
        ("seconds", "0.5", 0.5),
        ("seconds", "2", 2.0),
        ("flag", "true", True),
        ("names", "a,b , c", ("a", "b", "c")),
        ("names", '["a", "b,c"]', ("a", "b,c")),
        ("names", "[]", ()),
        ("maybe", '["a"]', ("a",)),
        ("level", "high", "high"),
        ("token", "123456", Secret("123456")),
        ("token", "a,b", Secret("a,b")),
        ("keep__raw", "3", Retention(raw=3)),
    ],
)
def test_a_variable_sets_a_setting_of_any_type(tmp_path: Path, name: str, text: str, value: object) -> None:
    built = sample(tmp_path, 'text = "before"', **{f"DRAGOMAN_ACCOUNTS__A__{name.upper()}": text})

    assert getattr(built, name.partition("__")[0]) == value


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    read = document(tmp_path, "port = 1", DRAGOMAN_PORT="2")

    assert config.build(read, "", Settings, NO_ENVIRONMENT).port == 2


def test_a_variable_names_a_table_with_a_hyphen(tmp_path: Path) -> None:
    read = document(tmp_path, "[accounts.My-Bot]\n", DRAGOMAN_ACCOUNTS__MY_BOT__TOKEN="t")

    assert config.build(read, "accounts.My-Bot", Sample, NO_ENVIRONMENT).token == Secret("t")


def test_variables_are_enough(tmp_path: Path) -> None:
    environ = {"DRAGOMAN_PORT": "2", "DRAGOMAN_RETENTION__RAW": "3", "PATH": "/bin", "dragoman_host": "x"}

    built = config.build(config.read(None, environ, tmp_path), "", Settings, environ)

    assert built == Settings(port=2, retention=Retention(raw=3))


@pytest.mark.parametrize("name", sorted(config.OUTSIDE))
def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, name: str) -> None:
    assert config.read(None, {name: "x"}, tmp_path).tables == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("DRAGOMAN_PORT", "many", "DRAGOMAN_PORT: port: Input should be a valid integer"),
        ("DRAGOMAN_PROT", "1", "DRAGOMAN_PROT: prot: is not a setting (did you mean port?)"),
        ("DRAGOMAN_SERVER__PORT", "1", "DRAGOMAN_SERVER__PORT: server: is not a setting"),
        (
            "DRAGOMAN_RETENTION__RWA",
            "1",
            "DRAGOMAN_RETENTION__RWA: retention.rwa: is not a setting (did you mean raw?)",
        ),
        ("DRAGOMAN_RETENTION__RAW", "x", "DRAGOMAN_RETENTION__RAW: retention.raw: Input should be a valid integer"),
        ("DRAGOMAN_HOST__NAME", "x", "DRAGOMAN_HOST__NAME: host: is not a table"),
        ("DRAGOMAN_CHAT_TOKEN", "env:ABSENT", "DRAGOMAN_CHAT_TOKEN: chat_token: the environment variable ABSENT"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(tmp_path: Path, name: str, text: str, message: str) -> None:
    environ = {name: text}

    with pytest.raises(ConfigError) as refused:
        config.build(document(tmp_path, 'host = "127.0.0.1"', **environ), "", Settings, environ)

    assert str(refused.value).startswith(message)


# References and paths


def test_a_secret_may_stand_in_the_environment(tmp_path: Path) -> None:
    built = sample(tmp_path, 'token = "env:MINE"\nspare = ["env:MINE", "old"]\ntext = "env:MINE"', MINE="s3cret")

    assert (built.token, built.spare, built.text) == (Secret("s3cret"), Secret("s3cret", "old"), "s3cret")


def test_a_secret_may_stand_in_a_file_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "mine.token").write_text(" s3cret\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert sample(tmp_path / "etc", 'token = "file:mine.token"').token == Secret("s3cret")
    assert sample(tmp_path / "etc", f'token = "file:{tmp_path}/etc/mine.token"').token == Secret("s3cret")
    assert sample(tmp_path / "etc", 'token = "file:../etc/mine.token"').token == Secret("s3cret")


def test_a_variable_may_hold_a_reference(tmp_path: Path) -> None:
    (tmp_path / "mine.token").write_text("s3cret\n", encoding="utf-8")

    built = sample(
        tmp_path, "", DRAGOMAN_ACCOUNTS__A__TOKEN="file:mine.token", DRAGOMAN_ACCOUNTS__A__SPARE="env:B", B="b"
    )

    assert (built.token, built.spare) == (Secret("s3cret"), Secret("b"))


@pytest.mark.parametrize("text", ["https://example.test", "environment:A", "file", "env", "a:env:B"])
def test_what_only_looks_like_a_reference_is_a_text(tmp_path: Path, text: str) -> None:
    assert sample(tmp_path, f'token = "{text}"').token == Secret(text)


def test_outside_accounts_a_text_is_no_reference(tmp_path: Path) -> None:
    assert config.build(document(tmp_path, 'public_url = "env:X"'), "", Settings, NO_ENVIRONMENT).public_url == "env:X"


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    assert sample(tmp_path, 'file = "rules/mine.yaml"').file == tmp_path / "rules/mine.yaml"
    assert sample(tmp_path, 'file = "/etc/mine.yaml"').file == Path("/etc/mine.yaml")


# Finding the file


def test_the_configuration_is_found_in_this_order(tmp_path: Path) -> None:
    named, variable, working, data = (tmp_path / name for name in ("named", "variable", "working", "data"))
    for folder in (named, variable, working, data):
        folder.mkdir()
        (folder / "dragoman.toml").touch()
    environ = {"DRAGOMAN_CONFIG": str(variable / "dragoman.toml")}

    assert config.find(str(named / "dragoman.toml"), environ, working, data) == named / "dragoman.toml"
    assert config.find(None, environ, working, data) == variable / "dragoman.toml"
    assert config.find(None, {}, working, data) == working / "dragoman.toml"
    assert config.find(None, {}, tmp_path, data) == data / "dragoman.toml"
    assert config.find(None, {}, tmp_path, tmp_path) is None


def test_a_named_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no such file \(check --config and DRAGOMAN_CONFIG\)"):
        config.find(str(tmp_path / "absent.toml"), {}, tmp_path, tmp_path)


# Showing


def test_settings_are_shown_without_their_secrets(tmp_path: Path) -> None:
    shown = config.shown(sample(tmp_path, 'token = ["hunter2", "hunter3"]\nnames = ["a"]\nfile = "/x"'))

    assert "hunter" not in json.dumps(shown)
    assert (shown["token"], shown["spare"], shown["names"], shown["file"]) == ("***", "", ["a"], "/x")
    assert shown["keep"] == {"messages": 90, "raw": 7, "media": 7}


@pytest.mark.parametrize("kind", [Settings, AccountSettings, Retention, Sample])
def test_a_schema_explains_every_setting_and_allows_no_other(kind: type) -> None:
    schema = config.schema_of(kind, "the title")

    assert schema["title"] == "the title"
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(kind)}
    assert all(described["description"] for described in schema["properties"].values())


def test_a_schema_allows_no_other_key_in_a_table_below() -> None:
    schema: dict[str, Any] = config.schema_of(Settings)

    assert schema["$defs"]["Retention"]["additionalProperties"] is False
