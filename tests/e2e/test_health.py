"""`dragoman health`: what a container's health check is told of a real service, by its exit code and in one line."""

import signal
import socketserver
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dragoman.testing.process import free_port

if TYPE_CHECKING:
    from tests.e2e.conftest import Command


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_service_that_takes_messages_is_healthy(dragoman: "Command", host: str) -> None:
    where = {"DRAGOMAN_HOST": host, "DRAGOMAN_PORT": str(free_port())}
    dragoman.start("--port", where["DRAGOMAN_PORT"], environ=where)

    assert (dragoman("health", environ=where).out, dragoman("health", environ=where).code) == ("ready\n", 0)
    assert dragoman("health", "--live", environ=where).out == "live\n"


def test_a_service_that_is_leaving_lives_but_is_not_ready(
    dragoman: "Command", eventually: Callable[[Callable[[], object]], object]
) -> None:
    port = free_port()
    dragoman.configure(f"port = {port}\nlinger = 8.0\n")
    bot = dragoman.start("--port", str(port))

    bot.process.send_signal(signal.SIGTERM)

    eventually(lambda: dragoman("health").code == 1)
    assert "stopping" in dragoman("health").complaint
    assert dragoman("health", "--live").code == 0


def test_where_nothing_runs_the_address_that_was_asked_is_named(dragoman: "Command") -> None:
    port = free_port()

    ended = dragoman("health", environ={"DRAGOMAN_PORT": str(port)})

    assert ended.code == 1
    assert f"no answer at 127.0.0.1:{port}" in ended.complaint


class Foreign(socketserver.BaseRequestHandler):
    """Another program that has the port."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>hello</html>")


def test_another_program_at_the_port_is_not_healthy(dragoman: "Command") -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Foreign) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        ended = dragoman("health", environ={"DRAGOMAN_PORT": str(server.server_address[1])})
        server.shutdown()
        thread.join(10)

    assert ended.code == 1
    assert "no answer" in ended.complaint
