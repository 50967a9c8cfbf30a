"""HTTP: plain requests over connections of our own, all others over aiohttp; its types leak nowhere.

Nearly all requests are plain (`plain.written`), and cost a tenth of the CPU time so.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Coroutine
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import aiohttp

from dragoman.errors import NoAnswer
from dragoman.flow.media import MediaStore
from dragoman.flow.transport import plain, public
from dragoman.flow.transport.connection import LARGEST_ANSWER
from dragoman.flow.transport.connections import CONNECT, KEEP_ALIVE, LIMIT, Connections
from dragoman.wire import Http, Part, Response


class HttpTransport:
    """Carries `Http` requests. Secrets are in place already when they come here."""

    def __init__(self, media: MediaStore, private_hosts: Collection[str] = ()) -> None:
        """`private_hosts`: where a request for the public internet may go nevertheless."""
        self._media = media
        self._private_hosts = frozenset(private_hosts)
        self._connections = Connections()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        """By whether they connect to public addresses only."""

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()
        for session in self._sessions.values():
            await session.close()

    def carry(self, request: Http) -> Coroutine[Any, Any, Response]:
        """Make a request; raises `NoAnswer`, saying whether it may have arrived, or `MediaRefused`."""
        written = None if self._guarded(request) else plain.written(request)
        if written is None:
            return self._particular(request)
        return self._connections.ask(written, request.timeout)

    async def _particular(self, request: Http) -> Response:
        """Make a request that is not plain."""
        try:
            with contextlib.ExitStack() as files:
                return await self._exchange(request, self._body(request, files))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            why = public.REFUSED if public.REFUSED in str(error) else type(error).__name__
            raise NoAnswer(f"cannot connect: {why}", sent=False) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"no answer: {type(error).__name__}", sent=True) from error

    async def _exchange(self, request: Http, body: dict[str, Any]) -> Response:
        following = request.into == "media" and (request.reach != "public" or self._guarded(request))
        async with self._open(request).request(
            request.method,
            request.url,
            params=request.query or None,
            headers=request.headers,
            timeout=aiohttp.ClientTimeout(total=request.timeout, connect=min(CONNECT, request.timeout * 0.7)),
            allow_redirects=following,
            max_redirects=3,
            **body,
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            if following and answer.status == 200:
                media = await self._media.save(_chunks(answer), answer.content_type)
                return Response(status=answer.status, headers=headers, media=media)
            return Response(status=answer.status, headers=headers, body=await _read(answer))

    def _open(self, request: Http) -> aiohttp.ClientSession:
        guarded = self._guarded(request)
        if guarded not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=LIMIT,
                keepalive_timeout=KEEP_ALIVE,
                ttl_dns_cache=60,
                socket_factory=public.connect if guarded else None,
            )
            self._sessions[guarded] = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._sessions[guarded]

    def _guarded(self, request: Http) -> bool:
        """Tell whether a request reaches public addresses only; to a private host it goes, and no further."""
        return request.reach == "public" and urlsplit(request.url).hostname not in self._private_hosts

    def _body(self, request: Http, files: contextlib.ExitStack) -> dict[str, Any]:
        if request.json is not None:
            return {"json": request.json}
        if request.form is not None:
            return {"data": {name: str(value) for name, value in request.form.items()}}
        if request.upload is not None:
            return {"data": files.enter_context(self._media.path(request.upload).open("rb"))}
        if request.parts:
            form = aiohttp.FormData(default_to_multipart=True)
            for part in request.parts:
                self._add(form, part, files)
            return {"data": form}
        return {"data": request.body} if request.body else {}

    def _add(self, form: aiohttp.FormData, part: Part, files: contextlib.ExitStack) -> None:
        if part.media is None:
            form.add_field(part.name, part.value)
            return
        file: BinaryIO = files.enter_context(self._media.path(part.media).open("rb"))
        filename = part.filename or part.media.name or "file"
        form.add_field(part.name, file, filename=filename, content_type=part.media.mime)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Read an answer up to the cap; what is longer is cut, and so will not be understood."""
    body = bytearray()
    async for chunk in _chunks(answer):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            answer.close()
            break
    return bytes(body[:LARGEST_ANSWER])


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in answer.content.iter_chunked(1 << 16):
        yield chunk
        await asyncio.sleep(0)
