"""Rates that replicas keep together: each send reserves its slot in the shared server, by the server's clock.

The rule is that of `flow.pace`: in no window of a rate's length more slots than it allows. Losing a bucket (a flush, a
restart) costs a burst, which the platform answers with "later"; no answer in time is None, and the caller keeps to its
own pace.
"""

import hashlib
import itertools
import os
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import NoScriptError

from dragoman.cache.level import Tally
from dragoman.cache.server import Away, Server, Wrong

MOST: Final = 86_400.0
"""Seconds of a wait that can be true; a bucket that says more is nonsense, and begins anew."""

SCRIPT: Final = """
-- The last slots of a bucket, oldest first, never more than the rate allows in one window; times in microseconds.
local bucket, count, window, most, nonce = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if redis.sha1hex(table.concat({bucket, ARGV[1], ARGV[2], ARGV[3], nonce}, ' ')) ~= ARGV[5] then
  return 'spoilt'
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local slot = now
local kind = redis.call('TYPE', bucket)['ok']
if kind == 'list' then
  local last = tonumber(redis.call('LINDEX', bucket, -1))
  local first = redis.call('LINDEX', bucket, -count)
  if first then first = tonumber(first) else first = now - window end
  if last and first then slot = math.max(now, last, first + window) end
  if not last or not first or slot > now + most then
    redis.call('DEL', bucket)
    slot = now
  end
elseif kind ~= 'none' then
  redis.call('DEL', bucket)
end
redis.call('RPUSH', bucket, string.format('%.0f', slot))
redis.call('LTRIM', bucket, -count, -1)
redis.call('PEXPIRE', bucket, math.ceil((slot - now + window) / 1000) + 1)
local answer = nonce .. ' ' .. string.format('%.0f', slot - now)
return answer .. ' ' .. redis.sha1hex(answer)
"""
SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which the server remembers the script."""


class SharedBuckets:
    """Buckets of slots in the server (see `Buckets`)."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = f"{prefix}rate:"
        self._asked = itertools.count()
        self._run = os.urandom(6).hex()
        self._tally = Tally("rates")

    async def reserve(self, key: str, count: int, seconds: float) -> float | None:
        """Reserve the next free slot and return the seconds until it; None when there is no answer in time."""
        nonce = f"{self._run}-{next(self._asked)}"
        asked = (self._prefix + key, str(count), str(round(seconds * 1e6)), str(round(MOST * 1e6)), nonce)
        rest = (1, *asked, _proof(" ".join(asked)))

        def read(answers: Sequence[Any]) -> float | None:
            return _read(nonce, answers[0])

        try:
            wait = await self._server.ask(read, ("EVALSHA", SHA, *rest))
            if wait is None:  # the server has been restarted, or never saw the script
                wait = await self._server.ask(read, ("EVAL", SCRIPT, *rest))
        except Away:
            self._tally("away")
            return None
        except Wrong:
            self._tally("wrong")
            return None
        self._tally("miss" if wait is None else "hit")
        return wait


def _read(nonce: str, answer: object) -> float | None:
    """Prove that this answers our question, and return the wait; None when the script is not known."""
    if isinstance(answer, NoScriptError):
        return None
    words = answer.decode("ascii", "replace").split(" ") if isinstance(answer, bytes) else []
    if len(words) != 3 or words[0] != nonce or not words[1].isdecimal():
        raise Wrong
    if _proof(f"{words[0]} {words[1]}") != words[2]:
        raise Wrong
    return int(words[1]) / 1e6


def _proof(text: str) -> str:
    """Hash what must arrive as it was sent: a slot that was misread would hold a message back."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
