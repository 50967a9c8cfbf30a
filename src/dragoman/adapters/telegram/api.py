"""One call of the Bot API as data, and its answer (Bot API, "Making requests")."""

from typing import Any, Final

from dragoman import wire
from dragoman.adapters.telegram.shapes import Answer
from dragoman.errors import Malformed
from dragoman.wire import Credential, Http, Part, Response

BOT_TOKEN: Final = Credential(name="bot_token")


def call(
    base: str,
    method: str,
    body: dict[str, Any],
    *,
    parts: tuple[Part, ...] = (),
    repeatable: bool = False,
    timeout: float = 8.0,
) -> Http:
    """Make the request of one method: JSON, or multipart when there are parts."""
    return Http(
        url=f"{base}/bot{{credential}}/{method}",
        json=None if parts else body,
        parts=parts,
        auth=BOT_TOKEN,
        place="path",
        lane=method,
        timeout=timeout,
        repeatable=repeatable,
    )


def read(response: Response) -> Answer:
    """Read an answer; one that is not the documented JSON is an `Answer` that is not ok, with no description."""
    try:
        return wire.decode(response.body, Answer)
    except Malformed:
        return Answer(ok=False)
