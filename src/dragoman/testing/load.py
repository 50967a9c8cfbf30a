"""A load as a platform makes it, and the oracle that judges what came back.

Messages leave at a constant rate whatever the service does (open loop); within a conversation the next
one is sent when the one before was acknowledged, and what is not acknowledged is sent again, as
platforms do. The oracle looks only at what the simulator accepted.
"""

import asyncio
import dataclasses
import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import aiohttp

from dragoman.testing.simulator import Simulator
from dragoman.wire import Http

AGAIN: Final = 0.1
LATEST: Final = 1.0
"""Seconds until an unacknowledged message is sent again: at first, and later at most."""
TIMEOUT: Final = 10.0
"""Seconds that a hook may take to answer."""
REPLY: Final = "echo: "


@dataclasses.dataclass(kw_only=True)
class Sample:
    """One message of the load: when it should have left, and whether and when it was acknowledged."""

    text: str
    conversation: int
    number: int
    intended: float
    acknowledged: float = 0.0
    attempts: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the oracle found: texts never answered, answered again, and answered in another order."""

    answered: int
    lost: tuple[str, ...]
    duplicates: int
    inversions: int
    latencies: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies, in seconds (0 when nothing was answered)."""
        if len(self.latencies) < 2:
            return self.latencies[0] if self.latencies else 0.0
        return statistics.quantiles(self.latencies, n=1000, method="inclusive")[min(998, round(share * 1000) - 1)]


class Load:
    """Sends numbered messages of several conversations to one hook or more, from a simulator that signs them.

    Of several hooks (those of replicas) each message takes the next, and a repeat the one after.
    """

    def __init__(self, simulator: Simulator, hook: str | Sequence[str], *, conversations: int, channel: str) -> None:
        """`channel` is a template such as `D{:06}` for the platform's ids."""
        self.simulator = simulator
        self.samples: list[Sample] = []
        self.hooks = [hook] if isinstance(hook, str) else list(hook)
        self.statuses: Counter[int] = Counter()
        """What was answered at the door, 0 for no answer."""
        self._conversations = conversations
        self._channel = channel
        self._locks: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers: Counter[int] = Counter()
        self._turns = itertools.count()

    @property
    def hook(self) -> str:
        """The first hook."""
        return self.hooks[0]

    async def run(
        self, rate: float, seconds: float, patience: float = 60.0, *, stop: asyncio.Event | None = None
    ) -> None:
        """Send `rate * seconds` messages at a constant rate, or until `stop`; repeat each for `patience` seconds."""
        begin = self.simulator.clock()
        connector = aiohttp.TCPConnector(limit=512, force_close=False)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
            for index in range(round(rate * seconds)):
                intended = begin + index / rate
                await asyncio.sleep(max(0.0, intended - self.simulator.clock()))
                if stop is not None and stop.is_set():
                    return
                group.create_task(self.send(session, self._sample(index, intended), patience))

    def _sample(self, index: int, intended: float) -> Sample:
        conversation = index % self._conversations
        self._numbers[conversation] += 1
        number = self._numbers[conversation]
        text = self.text(conversation, number)
        sample = Sample(text=text, conversation=conversation, number=number, intended=intended)
        self.samples.append(sample)
        return sample

    def text(self, conversation: int, number: int) -> str:
        """Word the n-th message of a conversation."""
        return f"c{conversation} n{number}"

    def request(self, sample: Sample) -> Http:
        """Make a message's request, which every repeat of it brings again."""
        channel = self._channel.format(sample.conversation)
        return self.simulator.webhook(sample.text, sender=f"U{sample.conversation:08}", channel=channel)

    async def send(self, session: aiohttp.ClientSession, sample: Sample, patience: float) -> None:
        """Send a message, when those before it in its conversation were acknowledged, until it is."""
        async with self._locks[sample.conversation]:
            request = self.request(sample)
            while self.simulator.clock() < sample.intended + patience:
                sample.attempts += 1
                status, body = await self._post(session, request)
                if self.taken(sample, status, body):
                    sample.acknowledged = self.simulator.clock()
                    return
                await asyncio.sleep(min(LATEST, AGAIN * 2.0 ** min(sample.attempts - 1, 8)))

    def taken(self, sample: Sample, status: int, body: bytes) -> bool:
        """Tell whether an answer acknowledges a message."""
        return 200 <= status < 300

    async def _post(self, session: aiohttp.ClientSession, request: Http) -> tuple[int, bytes]:
        hook = self.hooks[next(self._turns) % len(self.hooks)]
        status, body = 0, b""
        try:
            async with session.post(hook, data=request.body, headers=request.headers) as answer:
                body = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        self.statuses[status] += 1
        return status, body

    async def settle(self, seconds: float) -> None:
        """Wait until every message is answered, or the time is up, or nothing new was answered for a while."""
        expected = {REPLY + sample.text for sample in self.samples}
        deadline = self.simulator.clock() + seconds
        while self.simulator.clock() < deadline:
            if expected <= {accepted.text for accepted in self.simulator.sent}:
                return
            await asyncio.sleep(0.05)

    def judge(self) -> Verdict:
        """Compare what was sent with what the simulator accepted."""
        times: dict[str, float] = {}
        seen: Counter[str] = Counter()
        order: dict[int, list[int]] = defaultdict(list)
        for accepted in self.simulator.sent:
            text = accepted.text.removeprefix(REPLY)
            seen[text] += 1
            if seen[text] == 1:
                times[text] = accepted.at
                conversation, _, number = text.partition(" ")
                order[int(conversation[1:])].append(int(number[1:]))
        return Verdict(
            answered=len(times),
            lost=tuple(sample.text for sample in self.samples if sample.text not in times),
            duplicates=sum(count - 1 for count in seen.values()),
            inversions=sum(_inversions(numbers) for numbers in order.values()),
            latencies=tuple(times[sample.text] - sample.intended for sample in self.samples if sample.text in times),
        )


def _inversions(numbers: list[int]) -> int:
    return sum(later < earlier for earlier, later in itertools.pairwise(numbers))
