"""What the commands ask about broadcasts; long lists come in the question's body."""

from typing import Any, Final

import msgspec

from dragoman.errors import DragomanError
from dragoman.flow import audience
from dragoman.flow.context import Context
from dragoman.model import Button, Message, Value
from dragoman.store.broadcasts import Recipient, place

MOST: Final = 10_000
"""Recipients that one answer holds, at most."""
_named: Final = msgspec.json.Decoder(tuple[audience.Named, ...]).decode


class Wish(Value):
    """A broadcast as the command asks for it; `start_at` 0 is at once."""

    text: str
    name: str = ""
    buttons: tuple[Button, ...] = ()
    start_at: float = 0.0


async def create(context: Context, query: dict[str, str]) -> Any:
    """Begin a broadcast that sends nothing yet."""
    wish = msgspec.json.decode(query["body"], type=Wish)
    message = Message(text=wish.text, buttons=wish.buttons)
    return {"id": await context.store.broadcasts.create(wish.name, message, wish.start_at)}


async def named(context: Context, query: dict[str, str]) -> Any:
    """Add recipients that are named (body: a list); with the id 0 only tell their places."""
    try:
        recipients = audience.recipients(_named(query["body"]), context.accounts)
    except audience.Misnamed as error:
        return {"error": str(error), "place": error.place}
    return await _take_in(context, int(query["id"]), recipients)


async def segment(context: Context, query: dict[str, str]) -> Any:
    """Add a segment of those who wrote to us; with the id 0 only tell their places."""
    try:
        wanted = audience.Segment.read(query["segment"])
    except ValueError as error:
        return {"error": str(error)}
    unknown = sorted(name for name in wanted.account if context.accounts.get(name) is None)
    if unknown:
        return {"error": f"there is no account {unknown[0]!r}"}
    whole: dict[str, Any] = {"added": 0, "places": []}
    async for batch in audience.found(context, wanted):
        taken = await _take_in(context, int(query["id"]), batch)
        if "error" in taken:
            return taken
        whole = {key: whole[key] + value for key, value in taken.items()}
    return whole


async def _take_in(context: Context, broadcast: int, recipients: list[Recipient]) -> dict[str, Any]:
    if not broadcast:
        return {"added": 0, "places": [[each.address.account, place(each.address)] for each in recipients]}
    try:
        return {"added": await context.store.broadcasts.add(broadcast, recipients), "places": []}
    except LookupError:
        return {"error": f"broadcast {broadcast} is not being prepared any more"}


async def ready(context: Context, query: dict[str, str]) -> Any:
    """Let a broadcast go."""
    try:
        await context.store.broadcasts.ready(int(query["id"]))
    except LookupError:
        return {"error": f"broadcast {query['id']} is not being prepared any more"}
    return await show(context, query)


async def change(context: Context, query: dict[str, str]) -> Any:
    """Pause, resume or abort a broadcast; None when there is none."""
    wanted = query["wanted"]
    if wanted not in {"paused", "running", "aborted"}:
        raise DragomanError(f"a broadcast cannot be made {wanted}")
    changed = await context.store.broadcasts.change(int(query["id"]), wanted)  # type: ignore[arg-type]  # checked above
    report = await context.store.broadcasts.report(int(query["id"]))
    return report and {"changed": changed, **msgspec.to_builtins(report)}


async def listed(context: Context, query: dict[str, str]) -> Any:
    """List the newest broadcasts."""
    return await context.store.broadcasts.listed(int(query["limit"]))


async def show(context: Context, query: dict[str, str]) -> Any:
    """Tell how far a broadcast is; None when there is none."""
    return await context.store.broadcasts.report(int(query["id"]))


async def recipients(context: Context, query: dict[str, str]) -> Any:
    """List a broadcast's recipients in one state, after a number."""
    states: Any = query["states"].split(",")
    return await context.store.broadcasts.recipients(int(query["id"]), states, int(query["after"]), MOST)


QUESTIONS: Final = {
    "broadcast-create": create,
    "broadcast-named": named,
    "broadcast-segment": segment,
    "broadcast-ready": ready,
    "broadcast-change": change,
    "broadcast-list": listed,
    "broadcast-show": show,
    "broadcast-recipients": recipients,
}
