"""How commands ask: the running service by its control socket, or the store itself, opened once, when none runs."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from dragoman.errors import ConfigError, NoAnswer

if TYPE_CHECKING:
    from dragoman.service.installation import Installation


class Asker:
    """Puts the questions of `web.control`; answers are plain data."""

    def __init__(self, installation: "Installation", stack: contextlib.AsyncExitStack) -> None:
        self._installation = installation
        self._stack = stack
        self._house: Any = None

    @property
    def alone(self) -> bool:
        """True once it was found that no service runs here."""
        return self._house is not None

    async def __call__(self, question: str, *, body: str = "", **query: str) -> Any:
        """Put a question; raises `DragomanError` when there is no answer."""
        from dragoman.flow.transport import control  # noqa: PLC0415 - the command's own weight

        if self._house is None:
            with contextlib.suppress(NoAnswer):
                return await control.ask(self._installation.control, question, body=body, **query)
            self._house = await self._opened()
        return await self._answer(question, {**query, "body": body} if body else query)

    async def _opened(self) -> Any:
        from dragoman.service.house import opened  # noqa: PLC0415 - the command's own weight

        installation = self._installation
        if not installation.settings.store and not installation.database.exists():
            raise ConfigError(str(installation.database), "", "there is no data yet", "start with `dragoman run`")
        return await self._stack.enter_async_context(opened(installation))

    async def _answer(self, question: str, query: dict[str, str]) -> Any:
        import msgspec  # noqa: PLC0415 - the command's own weight

        from dragoman.web.control import QUESTIONS  # noqa: PLC0415 - the command's own weight

        return msgspec.to_builtins(await QUESTIONS[question](self._house.context, query))


@contextlib.asynccontextmanager
async def asking(installation: "Installation") -> AsyncIterator[Asker]:
    """Ask the running service; when none runs, open the store at the first question, until the last is answered."""
    async with contextlib.AsyncExitStack() as stack:
        yield Asker(installation, stack)
