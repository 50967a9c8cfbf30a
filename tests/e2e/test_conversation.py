"""`dragoman chat`, `trace`, `parked` and `redrive`: beside a running service, and alone."""

import contextlib
import http.server
import json
import os
import pty
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Bot, Command

Eventually = Callable[[Callable[[], object]], Any]


class Receiver(http.server.ThreadingHTTPServer):
    """Takes callbacks, and answers them with one status."""

    status = 400

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/late"


class Taking(http.server.BaseHTTPRequestHandler):
    """One callback."""

    server: Receiver

    def do_POST(self) -> None:
        self.server.taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
        """Keep the screen clean."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def configure(dragoman: "Command", callback: str = "") -> None:
    """Write a webhook account that never waits: every reply goes to the callback."""
    dragoman.configure(
        '[accounts.webhook]\nplatform = "webhook"\ntoken = "t"\nreply_within = 0\n'
        + (f'callback_url = "{callback}"\n' if callback else "")
    )


def post(bot: "Bot", form: object) -> Any:
    headers = {"authorization": "Bearer t", "content-type": "application/json"}
    request = urllib.request.Request(f"{bot.url}/webhook", json.dumps(form).encode(), headers)  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        return json.load(answer)


def parked_id(dragoman: "Command") -> str:
    rows = json.loads(dragoman("parked", "--json").out)
    return str(rows[0]["id"]) if rows else ""


def test_piped_lines_are_answered_one_after_the_other_beside_a_service(dragoman: "Command") -> None:
    dragoman.start()

    ended = dragoman("chat", given="what is dragoman?\nsomething else\n")

    lines = ended.out.splitlines()
    assert ended.code == 0
    assert ended.err == ""
    assert lines[0].startswith("I am Dragoman")
    assert lines[-1] == "echo: something else"


def test_piped_lines_are_answered_alone(dragoman: "Command") -> None:
    ended = dragoman("chat", given="one\n\ntwo\n")

    assert ended.code == 0
    assert ended.err == ""
    assert ended.out.splitlines() == ["echo: one", "echo: two"]


def test_a_chat_without_a_line_ends_at_once(dragoman: "Command") -> None:
    ended = dragoman("chat", given="")

    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_what_was_said_alone_is_traced_later(dragoman: "Command") -> None:
    dragoman("chat", given="hello\n")
    dragoman.start()

    ended = dragoman("trace", "e1")

    assert ended.code == 0
    assert "terminal" in ended.out


@pytest.mark.parametrize("beside", [True, False], ids=["beside a service", "alone"])
def test_a_message_is_traced_through_six_stages(dragoman: "Command", beside: bool, eventually: Eventually) -> None:
    configure(dragoman)
    bot = dragoman.start()
    post(bot, {"content": "something", "id": "m1"})
    eventually(lambda: json.loads(dragoman("trace", "m1", "--json").out)["status"] == "done")
    if not beside:
        bot.stop()

    words = dragoman("trace", "m1")
    found = json.loads(dragoman("trace", "m1", "--json").out)
    by_our_id = json.loads(dragoman("trace", found["id"], "--json").out)

    stages = [stage["name"] for stage in found["stages"]]
    assert words.code == 0
    assert stages == ["receive", "authenticate", "parse", "route", "respond", "deliver"]
    assert all(stage in words.out for stage in stages)
    assert "echo" in words.out
    assert by_our_id == found


@pytest.mark.parametrize("beside", [True, False], ids=["beside a service", "alone"])
def test_a_refused_reply_is_parked_shown_and_put_back(
    dragoman: "Command", receiver: Receiver, beside: bool, eventually: Eventually
) -> None:
    configure(dragoman, receiver.url)
    bot = dragoman.start()
    assert dragoman("parked").out == "Nothing is parked.\n"
    post(bot, {"content": "hello", "id": "m1"})
    name = eventually(lambda: parked_id(dragoman))
    receiver.status = 204
    if not beside:
        bot.stop()

    shown = dragoman("parked")
    redriven = dragoman("redrive", name)
    if not beside:
        dragoman.start()
    eventually(lambda: len(receiver.taken) == 2)

    assert "400" in shown.out
    assert name in shown.out
    assert redriven.code == 0
    assert name in redriven.out
    assert receiver.taken[0] == receiver.taken[1]
    eventually(lambda: dragoman("parked").out == "Nothing is parked.\n")


@pytest.mark.parametrize("beside", [True, False], ids=["beside a service", "alone"])
@pytest.mark.parametrize(("command", "name"), [("trace", "nothing"), ("redrive", "e99"), ("redrive", "nonsense")])
def test_what_is_not_there_is_said_in_one_line(dragoman: "Command", command: str, name: str, beside: bool) -> None:
    bot = dragoman.start()
    if not beside:
        bot.stop()

    ended = dragoman(command, name)

    assert ended.code == 1
    assert name in ended.complaint


@pytest.mark.parametrize("words", [("trace", "e1"), ("parked",), ("redrive", "e1")], ids=" ".join)
def test_a_question_about_no_data_makes_no_data(dragoman: "Command", words: tuple[str, ...]) -> None:
    ended = dragoman(*words)

    assert ended.code == 2
    assert "no data" in ended.complaint
    assert not dragoman.folder.exists()


class Terminal:
    """`dragoman chat` at a terminal."""

    def __init__(self, dragoman: "Command") -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            dragoman.words("chat"),
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=dragoman.environ(),
            cwd=dragoman.home,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._seen = b""

    def sees(self, words: str) -> bool:
        with contextlib.suppress(OSError):  # nothing to read now, or the other end is closed
            self._seen += os.read(self._ours, 65_536)
        return words.encode() in self._seen

    def type(self, words: str) -> None:
        os.write(self._ours, words.encode())

    def close(self) -> str:
        if self.process.poll() is None:
            self.process.kill()
        _, complaint = self.process.communicate(timeout=10)
        os.close(self._ours)
        return complaint.decode()


@pytest.fixture
def terminal(dragoman: "Command") -> Iterator[Callable[[], Terminal]]:
    opened: list[Terminal] = []

    def open_one() -> Terminal:
        opened.append(Terminal(dragoman))
        return opened[-1]

    yield open_one
    for one in opened:
        if one.process.stderr is not None and not one.process.stderr.closed:
            one.close()


@pytest.mark.parametrize("beside", [True, False], ids=["beside a service", "alone"])
def test_a_terminal_chat_answers_and_ends_with_control_d(
    dragoman: "Command", terminal: Callable[[], Terminal], beside: bool, eventually: Eventually
) -> None:
    if beside:
        dragoman.start()
    chat = terminal()
    eventually(lambda: chat.sees("Ctrl-D ends"))

    chat.type("something\n")
    eventually(lambda: chat.sees("echo: something"))
    chat.type("\x04")

    assert chat.process.wait(10) == 0
    assert chat.close() == ""


@pytest.mark.parametrize("beside", [True, False], ids=["beside a service", "alone"])
def test_a_terminal_chat_ends_with_control_c(
    dragoman: "Command", terminal: Callable[[], Terminal], beside: bool, eventually: Eventually
) -> None:
    if beside:
        dragoman.start()
    chat = terminal()
    eventually(lambda: chat.sees("Ctrl-D ends"))
    chat.type("something\n")
    eventually(lambda: chat.sees("echo: something"))

    chat.process.send_signal(signal.SIGINT)

    assert chat.process.wait(10) in {0, 130}
    assert "Traceback" not in chat.close()


def test_a_chat_whose_service_goes_away_says_so(
    dragoman: "Command", terminal: Callable[[], Terminal], eventually: Eventually
) -> None:
    bot = dragoman.start()
    chat = terminal()
    eventually(lambda: chat.sees("Ctrl-D ends"))
    chat.type("something\n")
    eventually(lambda: chat.sees("echo: something"))
    bot.stop()

    assert chat.process.wait(10) != 0
    assert "closed" in chat.close()
