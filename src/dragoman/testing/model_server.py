"""A model behind an OpenAI-compatible `/v1/chat/completions`, and all the ways in which one fails.

`async with serve(server) as url` serves it; the plugin's `base_url` is then `f"{url}/v1"`. It answers by a function
of the messages; `script` puts replies before that, each used once. `requests` records what was asked.
"""

import dataclasses
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.testing.simulator import respond
from dragoman.wire import Response, json_response

Messages = list[dict[str, Any]]
Reply = Callable[[Receive, Send], Awaitable[None]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: whom it asked, what, and with which proof."""

    path: str
    authorization: str
    body: dict[str, Any]

    @property
    def messages(self) -> list[tuple[str, Any]]:
        """Return the conversation as pairs of role and content."""
        return [(message["role"], message["content"]) for message in self.body["messages"]]


def parrot(messages: Messages) -> str:
    """Answer with the last message."""
    return f"You said: {messages[-1]['content']}"


class ModelServer:
    """The server, as an ASGI application."""

    def __init__(self, answer: Callable[[Messages], str] = parrot) -> None:
        """Answer by a function of the messages."""
        self.answer = answer
        self.requests: list[Asked] = []
        self._script: deque[Reply] = deque()

    def script(self, *replies: Reply) -> None:
        """Give these replies to the next requests, in order."""
        self._script.extend(replies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request (ASGI)."""
        request = Request(scope, receive)
        authorization = request.headers.get("authorization", "")
        body = msgspec.json.decode(await request.body() or b"{}")
        self.requests.append(Asked(path=request.url.path, authorization=authorization, body=body))
        if request.url.path != "/v1/chat/completions":
            await status(404)(receive, send)
        elif self._script:
            await self._script.popleft()(receive, send)
        else:
            await respond(send, completion(self.answer(body["messages"]), model=body["model"]))


def completion(text: str, model: str = "model") -> Response:
    """Return a whole answer in the documented shape (OpenAI API reference, "The chat completion object")."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": model}
    return json_response({**head, "choices": [choice], "usage": usage})


def says(text: str) -> Reply:
    """Answer with this text."""
    return _responds(completion(text))


def huge(characters: int = 1 << 20) -> Reply:
    """Answer with a text of so many characters."""
    return says("x" * characters)


def status(code: int, *, retry_after: str = "", text: str = "refused") -> Reply:
    """Answer with an error in the documented shape, and when to come back."""
    headers = {"retry-after": retry_after} if retry_after else {}
    return _responds(json_response({"error": {"message": text, "type": "error", "code": None}}, code, headers))


def garbage(body: bytes = b'{"choices": [{"mess') -> Reply:
    """Answer 200 with something that is said to be JSON and is none."""
    return _responds(Response(headers={"content-type": "application/json"}, body=body))


def html(code: int = 200) -> Reply:
    """Answer with a page, as a proxy in between does."""
    return _responds(Response(status=code, headers={"content-type": "text/html"}, body=b"<html>Bad gateway</html>"))


def _responds(response: Response) -> Reply:
    async def reply(_receive: Receive, send: Send) -> None:
        await respond(send, response)

    return reply


async def hang(receive: Receive, _send: Send) -> None:
    """Send not one byte until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def cut(_receive: Receive, send: Send) -> None:
    """Close the connection in the middle of the body."""
    headers: Sequence[tuple[bytes, bytes]] = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"id": "chatcmpl-1", ', "more_body": True})
