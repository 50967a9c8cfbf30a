"""The real command in a process of its own: the first run, refusals in one line, and the orderly stop."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from dragoman import cli

if TYPE_CHECKING:
    from tests.e2e.conftest import Bot, Command

COMMANDS = (
    (),
    ("run",),
    ("chat",),
    ("doctor",),
    ("health",),
    ("tasks",),
    *(("tasks", name) for name in ("list", "show", "add", "run", "pause", "resume", "cancel")),
    ("config",),
    ("config", "show"),
    ("config", "schema"),
    ("trace",),
    ("parked",),
    ("redrive",),
    ("broadcast",),
    ("broadcast", "send"),
    ("broadcast", "list"),
    ("broadcast", "show"),
    ("broadcast", "pause"),
    ("broadcast", "resume"),
    ("broadcast", "abort"),
    ("broadcast", "watch"),
    ("installations",),
    ("uninstall",),
    ("remind",),
    ("remind", "parse"),
    ("store",),
    ("store", "copy"),
    ("backup",),
    ("verify",),
    ("drill",),
    ("restore",),
    ("conformance",),
    ("bench",),
    ("user",),
    *(("user", name) for name in ("find", "export", "erase", "hold", "release", "holds")),
    ("archive",),
    *(("archive", name) for name in ("status", "verify")),
    ("version",),
)

SLOW = """
import asyncio

from dragoman import Plugin, Turn

plugin = Plugin("slow")


@plugin.message()
async def wait(turn: Turn) -> None:
    await asyncio.Event().wait()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def plain(text: str) -> str:
    """Take away colours and line breaks, which depend on the terminal."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m", "", text).split())


def post(url: str, form: object, token: str) -> tuple[int, Any]:
    """Post a form with a bearer token; returns the status and the decoded answer."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(form).encode(), headers)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_first_run_writes_its_files_for_its_owner_only(dragoman: "Command") -> None:
    dragoman.start()

    folder = dragoman.folder
    assert mode(folder) == 0o700
    assert mode(folder / "webhook.token") == 0o600
    assert mode(folder / "dragoman.toml") == 0o600
    assert mode(folder / "dragoman.sock") == 0o600
    assert len((folder / "webhook.token").read_text().strip()) >= 32
    assert (folder / "dragoman.db").exists()
    assert (folder / "rules.yaml").exists()


def test_the_database_is_for_its_owner_only(dragoman: "Command") -> None:
    dragoman.folder.mkdir(mode=0o755)
    dragoman.start()

    assert {path.name: mode(path) & 0o077 for path in dragoman.folder.glob("dragoman.db*")} == {
        path.name: 0 for path in dragoman.folder.glob("dragoman.db*")
    }


def test_data_has_a_home(dragoman: "Command") -> None:
    dragoman.start(environ={"DRAGOMAN_DATA": ""})

    assert (dragoman.home / ".local" / "share" / "dragoman" / "dragoman.toml").exists()


def test_the_greeting_says_where_to_chat_and_how_to_go_on(dragoman: "Command") -> None:
    bot = dragoman.start()

    with urllib.request.urlopen(bot.link, timeout=10) as page:  # noqa: S310 - our own address
        assert b"Dragoman" in page.read()
    assert bot.link.startswith("http://127.0.0.1:")
    assert str(dragoman.folder / "dragoman.toml") in bot.out
    assert "chat" in bot.printed("Terminal")
    assert "hooks" in bot.out


@pytest.mark.parametrize("name", ["data", "it's a folder"])
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_curl_line_works_when_pasted(dragoman: "Command", name: str) -> None:
    dragoman.folder = dragoman.home / name
    bot = dragoman.start()

    pasted = subprocess.run(  # noqa: S603 - what we print is what is tested
        ["/bin/sh", "-c", bot.printed("Try it")], capture_output=True, text=True, timeout=30, check=False
    )

    assert pasted.returncode == 0
    assert "time" in json.loads(pasted.stdout)["reply"]


def test_the_printed_terminal_line_talks_to_the_same_bot(dragoman: "Command") -> None:
    bot = dragoman.start()

    words = bot.printed("Terminal").removeprefix("dragoman ").split()
    answer = dragoman(*words, given="hello\n", environ={"DRAGOMAN_DATA": ""})

    assert "Hello" in answer.out


def test_no_secret_is_on_the_screen_or_in_the_log(dragoman: "Command") -> None:
    bot = dragoman.start()
    token = (dragoman.folder / "webhook.token").read_text().strip()
    assert post(f"{bot.url}/webhook", {"content": "words of a person"}, token)[0] == 200

    assert bot.stop() == 0
    assert token not in bot.out + bot.err
    assert "words of a person" not in bot.out + bot.err


def test_the_second_start_changes_nothing(dragoman: "Command") -> None:
    first = dragoman.start()
    first.stop()
    before = {path.name: path.read_bytes() for path in dragoman.folder.glob("*.t*")}
    second = dragoman.start()

    assert {path.name: path.read_bytes() for path in dragoman.folder.glob("*.t*")} == before
    assert "first configuration" in first.out
    assert "first configuration" not in second.out


def test_host_and_port_may_come_from_the_environment(dragoman: "Command") -> None:
    bot = dragoman.start("--port", "0", environ={"DRAGOMAN_HOST": "localhost"})

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", bot.url)


def test_beyond_loopback_the_link_carries_a_token(dragoman: "Command") -> None:
    bot = dragoman.start("--host", "0.0.0.0")

    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        browser.open(f"{bot.url}/chat", timeout=10)
    refused.value.close()
    with browser.open(bot.link, timeout=10) as page:
        assert b"Dragoman" in page.read()
    assert "token=" in bot.link
    assert "token" not in bot.err


def test_every_line_of_the_log_is_json_whatever_comes_in(
    dragoman: "Command", eventually: Callable[[Callable[[], object]], object]
) -> None:
    bot = dragoman.start()
    port = int(bot.url.rpartition(":")[2])
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"GET /chat HTTP/1.1\r\nhost: [\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    bot.stop()
    eventually(lambda: "stopped" in bot.err)

    assert [line for line in bot.err.splitlines() if not line.startswith("{")] == []


def test_a_second_service_on_the_same_folder_is_refused_in_one_line(dragoman: "Command") -> None:
    dragoman.start()

    second = dragoman("run", "--port", "0")

    assert second.code == 1
    assert "another dragoman runs" in second.complaint
    assert str(dragoman.folder) in second.complaint


def test_a_port_in_use_is_refused_in_one_line(dragoman: "Command") -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ended = dragoman("run", "--port", str(other.getsockname()[1]))

    assert ended.code == 2
    assert "in use" in ended.complaint
    assert "--port" in ended.complaint


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--role", "engine"), "SQLite"),
        (("--role", "cook"), "gateway"),
        (("--port", "70000"), "port"),
        (("--host", "no.such.host.invalid", "--port", "0"), "--host"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_the_remedy(
    dragoman: "Command", arguments: tuple[str, ...], named: str
) -> None:
    ended = dragoman("run", *arguments)

    assert ended.code == 2
    assert named in ended.complaint


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("prot = 80", "prot", "port"),
        ('sends = "many"', "sends", "integer"),
        ("turns = 0", "turns", "at least 1"),
        ("port = ", "dragoman.toml", "TOML"),
        ('[accounts.a]\nplatform = "slak"', "accounts.a.platform", "slack"),
        ("[accounts.a]\ntoken = 'x'", "accounts.a.platform", "required"),
        ('[accounts.a]\nplatform = "webhook"', "accounts.a", "token"),
        ('[accounts.a]\nplatform = "webhook"\ntokn = "x"', "accounts.a.tokn", "token"),
        ('[accounts.a]\nplatform = "webhook"\ntoken = "env:NO_SUCH_NAME"', "accounts.a.token", "NO_SUCH_NAME"),
        ('[accounts.a]\nplatform = "webhook"\ntoken = "file:none"', "accounts.a.token", "cannot be read"),
        ('[accounts.a]\nplatform = "webhook"\ntoken = "x"\nreply_within = 900', "accounts.a", "reply_within"),
        ('[accounts.B]\nplatform = "webhook"\ntoken = "x"', "accounts.B", "lower-case"),
        ('plugins = ["rulse"]', "rulse", "rules"),
        ('[plugin.echo]\ntemplat = "x"', "plugin.echo.templat", "template"),
        ('[plugin.echo]\ntemplate = "{nobody}"', "plugin.echo", "nobody"),
        ('[plugin.rules]\nfile = "none.yaml"', "none.yaml", ""),
        ("[retention]\nmessages = 1", "retention.messages", "at least 8"),
    ],
)
def test_a_wrong_configuration_is_refused_with_file_key_and_reason(
    dragoman: "Command", text: str, key: str, reason: str
) -> None:
    dragoman.configure(text + "\n")

    ended = dragoman("run", "--port", "0")

    assert ended.code == 2
    assert str(dragoman.folder) in ended.complaint
    assert key in ended.complaint
    assert reason in ended.complaint


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DRAGOMAN_PROT", "80", "port"),
        ("DRAGOMAN_PORT", "many", "integer"),
        ("DRAGOMAN_ACCOUNTS__WEBHOOK__TOKN", "x", "token"),
        ("DRAGOMAN_CONFIG", "none.toml", "no such file"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(dragoman: "Command", name: str, value: str, reason: str) -> None:
    dragoman.configure('[accounts.webhook]\nplatform = "webhook"\ntoken = "x"\n')

    ended = dragoman("run", environ={name: value})

    assert ended.code == 2
    assert name in ended.complaint
    assert reason in ended.complaint


def test_a_data_folder_that_cannot_be_made_is_refused_in_one_line(dragoman: "Command") -> None:
    dragoman.folder.write_text("a file")

    ended = dragoman("run", "--port", "0")

    assert ended.code == 2
    assert "--data" in ended.complaint


def test_a_data_folder_too_deep_for_a_socket_is_refused_in_one_line(dragoman: "Command") -> None:
    dragoman.folder = dragoman.home / ("d" * 120)

    ended = dragoman("run", "--port", "0")

    assert ended.code == 2
    assert "--data" in ended.complaint


def test_a_damaged_database_is_refused_in_one_line(dragoman: "Command") -> None:
    dragoman.start().stop()
    (dragoman.folder / "dragoman.db").write_bytes(b"not a database, but a text that is longer than a page header" * 90)

    ended = dragoman("run", "--port", "0")

    assert ended.code == 1
    assert "damaged" in ended.complaint


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(dragoman: "Command", number: int) -> None:
    bot = dragoman.start()

    assert bot.stop(number, seconds=10) == 0
    assert not (dragoman.folder / "dragoman.sock").exists()


def test_sigterm_answers_the_callers_that_wait(
    dragoman: "Command", eventually: Callable[[Callable[[], object]], object]
) -> None:
    file = dragoman.configure('plugins = ["slow"]\n[accounts.webhook]\nplatform = "webhook"\ntoken = "t"\n')
    file.write_text(file.read_text() + '[plugin.slow]\nuse = "slow.py"\n')
    (dragoman.folder / "slow.py").write_text(SLOW)
    bot = dragoman.start()
    answers: list[tuple[int, Any]] = []

    def ask() -> None:
        try:
            answers.append(post(f"{bot.url}/webhook", {"content": "hello", "id": "m1"}, "t"))
        except (OSError, ValueError) as error:  # no answer, or none of ours
            answers.append((0, error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    eventually(lambda: dragoman("trace", "m1").code == 0)

    code = bot.stop(seconds=20)
    asking.join(20)
    assert code == 0
    assert [status for status, _ in answers] == [202]
    assert dragoman("trace", "m1").code == 0


@pytest.fixture(scope="module")
def command_line() -> typer.Typer:
    """The command line without a process: a help text asks nothing of one."""
    return cli.commands()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command_line: typer.Typer, words: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(command_line, [*words, "--help"])

    assert ended.exit_code == 0
    assert " ".join(("Usage: dragoman", *words, "[")) in plain(ended.stdout)
    assert ended.stderr == ""


@pytest.mark.parametrize("words", [(), ("run",), ("user", "find")], ids=" ".join)
def test_the_real_command_prints_the_explanation_and_nothing_else(dragoman: "Command", words: tuple[str, ...]) -> None:
    ended = dragoman(*words, "--help")

    assert ended.code == 0
    assert "Usage" in ended.out
    assert ended.err == ""
    assert not dragoman.folder.exists()


def test_every_command_that_the_help_lists_is_tested_here(dragoman: "Command") -> None:
    _, _, table = dragoman("--help").out.partition("Commands")
    listed = set(re.findall(r"^\W*([a-z]+) {2,}\S", table, re.MULTILINE))

    assert listed == {words[0] for words in COMMANDS if words}


def test_the_effective_settings_are_shown_without_secrets(dragoman: "Command") -> None:
    dragoman.configure(
        'metrics_token = "canary-1"\n[accounts.webhook]\nplatform = "webhook"\ntoken = ["canary-2", "canary-3"]\n'
        '[accounts.tg]\nplatform = "telegram"\nbot_token = "env:TG"\n'
    )

    ended = dragoman("config", "show", environ={"TG": "1:canary-4", "DRAGOMAN_PORT": "9"})

    shown = json.loads(ended.out)
    assert ended.code == 0
    assert "canary" not in ended.out + ended.err
    assert shown["port"] == 9
    assert shown["accounts"]["webhook"]["token"] == "***"
    assert shown["accounts"]["tg"]["platform"] == "telegram"


def test_the_schema_is_json_and_knows_every_setting(dragoman: "Command") -> None:
    ended = dragoman("config", "schema")
    schema = json.loads(ended.out)

    accounts = schema["properties"]["accounts"]["additionalProperties"]["oneOf"]
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"port", "plugins", "accounts", "plugin"} <= set(schema["properties"])
    assert {"webhook", "slack", "telegram", "feishu"} <= {
        account["properties"]["platform"]["const"] for account in accounts
    }
    assert ended.err == ""
    assert not dragoman.folder.exists()


def test_a_closed_pipe_ends_a_command_quietly(dragoman: "Command") -> None:
    words = " ".join(dragoman.words("config", "schema"))

    piped = subprocess.run(  # noqa: S602 - a pipe is what is tested
        f"{words} | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=30,
        env=dragoman.environ(),
        check=False,
    )

    assert piped.stdout == "{"
    assert piped.stderr == ""


def test_the_version_is_told(dragoman: "Command") -> None:
    assert re.fullmatch(r"dragoman \d+\.\d+\.\d+, Python 3\.\d+\.\d+, SQLite \S+\n", dragoman("version").out)


def test_a_killed_service_starts_again_at_once(dragoman: "Command") -> None:
    bot: Bot = dragoman.start()
    os.kill(bot.process.pid, signal.SIGKILL)
    bot.process.wait(10)

    again = dragoman.start()

    assert again.stop() == 0
