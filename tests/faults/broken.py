"""Builds that are broken on purpose: `broken.py NAME run ...` breaks one promise, then runs the real command line.

Nothing in the service knows of this. Each is a mistake that a popular bot has made; the harness must find every one.
"""

import asyncio
import re
import secrets
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec


def acknowledge_before_commit() -> None:
    """Answer at the door, and store a little later."""
    from dragoman.flow import receive  # noqa: PLC0415 - each build loads what it breaks

    accept, pending = receive.accept, set()

    async def later(*arguments: Any, **named: Any) -> Any:
        await asyncio.sleep(0.2)
        await accept(*arguments, **named)

    async def eager(*arguments: Any, **named: Any) -> tuple[()]:
        task = asyncio.create_task(later(*arguments, **named))
        pending.add(task)
        task.add_done_callback(pending.discard)
        return ()

    broken: Any = receive
    broken.accept = eager


def no_fence() -> None:
    """Let whoever has been asleep commit and settle as if nothing had happened."""
    from dragoman.store import named  # noqa: PLC0415 - the same

    read = named.named
    checks = re.compile(r" AND (fence = :fence|c\.fence = turn\.fence|o\.fence = g\.fence)")

    def unfenced(package: str) -> dict[str, str]:
        return {name: checks.sub("", text) for name, text in read(package).items()}

    broken: Any = named
    broken.named = unfenced


def memory_only_deduplication() -> None:
    """Know a repeat only as long as the process lives, and only in this process."""
    from dragoman.flow import receive  # noqa: PLC0415 - the same

    accept, seen = receive.accept, set()

    async def forgetful(context: Any, account: Any, receipt: Any, *rest: Any, **named: Any) -> Any:
        names = [(event.account, event.kind, event.key) for event in receipt.events]
        fresh = [event for event, name in zip(receipt.events, names, strict=True) if name not in seen]
        seen.update(names)
        events = tuple(msgspec.structs.replace(event, key=event.key + secrets.token_hex(4)) for event in fresh)
        return await accept(context, account, msgspec.structs.replace(receipt, events=events), *rest, **named)

    broken: Any = receive
    broken.accept = forgetful


def random_idempotency_keys() -> None:
    """Give every attempt at a delivery a key of its own."""
    from dragoman.flow import deliver  # noqa: PLC0415 - the same

    perform = deliver._perform

    async def careless(context: Any, account: Any, delivery: Any, sending: Any) -> Any:
        return await perform(context, account, msgspec.structs.replace(delivery, key=secrets.token_hex(8)), sending)

    broken: Any = deliver
    broken._perform = careless


def retry_on_timeout() -> None:
    """Take silence for a failure, and send again."""
    from dragoman.flow import retry  # noqa: PLC0415 - the same
    from dragoman.store.base import Later  # noqa: PLC0415 - the same
    from dragoman.wire import Unsure  # noqa: PLC0415 - the same

    decide = retry.decide

    def hasty(delivery: Any, outcome: Any, *rest: Any) -> Any:
        if isinstance(outcome, Unsure):
            return Later(after=0.1, reason=outcome.reason)
        return decide(delivery, outcome, *rest)

    broken: Any = retry
    broken.decide = hasty


BUILDS: Final[dict[str, Callable[[], None]]] = {
    "acknowledge-before-commit": acknowledge_before_commit,
    "no-fence": no_fence,
    "memory-only-deduplication": memory_only_deduplication,
    "random-idempotency-keys": random_idempotency_keys,
    "retry-on-timeout": retry_on_timeout,
}


if __name__ == "__main__":
    BUILDS[sys.argv.pop(1)]()

    from dragoman.cli import main

    main()
