"""The load as streams of numbered messages, one stream for each platform: webhooks, held requests, a long poll."""

import asyncio
import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

import aiohttp
import msgspec
from tests.faults.probe import PARTS

from dragoman import wire
from dragoman.testing import simulators
from dragoman.testing.load import Load, Sample
from dragoman.testing.simulator import Accepted, Simulator
from dragoman.wire import Http, Response

PATIENCE: Final = 180.0
"""Seconds for which a platform repeats a message."""
MARK: Final = re.compile(r"c(\d+) n(\d+) p(\d+) of (\d+)(?: after (\d+))?")
FILE: Final = bytes(range(256)) * 8192
"""What people upload: two megabytes."""
FILLER: Final = "This sentence is as long as it is in order to fill the pages of a long answer. " * 18


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heard:
    """One part of an answer, as the platform took it."""

    way: str
    """Where order holds: among what the bot sends, and (of held requests) among what it responds."""
    conversation: int
    number: int
    part: int
    after: int | None
    at: float


def long_answer(messages: list[dict[str, Any]]) -> str:
    """Answer as a talkative model: some 8,500 characters in marked paragraphs."""
    name = " ".join(str(messages[-1]["content"]).split()[:2])
    return "\n\n".join(f"{name} p{part} of {PARTS}\n\n{FILLER}" for part in range(1, PARTS + 1))


class Stream(Load):
    """The load of one account: what kinds of messages it brings, and whether its platform takes keys."""

    def __init__(self, account: str, simulator: Any, hooks: Sequence[str], *, channel: str, size: int) -> None:
        """Send to `size` conversations."""
        super().__init__(simulator, hooks, conversations=size, channel=channel)
        self.account = account
        self.kinds: tuple[str, ...] = ("say",)

    def text(self, conversation: int, number: int) -> str:
        """Word a message: its kind is the same in every run."""
        return f"c{conversation} n{number} {self.kinds[(conversation + number) % len(self.kinds)]}"

    def request(self, sample: Sample) -> Http:
        """Make a message's request: in a direct chat, with a file where its kind says so."""
        if not sample.text.endswith("file"):
            return super().request(sample)
        channel = self._channel.format(sample.conversation)
        simulator: Any = self.simulator
        request: Http = simulator.shared("big.bin", FILE, mime="application/x-dump", text=sample.text, channel=channel)
        return request

    def parts(self, sample: Sample) -> int:
        """Tell how many parts a whole answer has."""
        return PARTS if sample.text.endswith("long") else 1

    async def offer(self, session: aiohttp.ClientSession, request: Http) -> bool:
        """Bring a request to the next hook; tells whether it was taken."""
        status, _ = await self._post(session, request)
        return status == 200

    def heard(self) -> Iterator[Heard]:
        """Read the simulator's log: every part of an answer that it took, in order."""
        for accepted in self.simulator.sent:
            for found in MARK.finditer(accepted.text):
                conversation, number, part, _, after = found.groups()
                yield Heard(
                    way="response" if accepted.method == "response" else "",
                    conversation=int(conversation),
                    number=int(number),
                    part=int(part),
                    after=None if after is None else int(after),
                    at=accepted.at,
                )

    def spoilt(self) -> int:
        """Count the files that the platform got and that are not those which people sent."""
        files = getattr(self.simulator, "files", {})
        shared = [name for accepted in self.simulator.sent if "files" in accepted.body for name in ids(accepted)]
        return sum(files[name].content != FILE for name in shared if name in files)


def ids(accepted: Accepted) -> list[str]:
    """Name the files that an action shared."""
    return accepted.id.split(",")


class Caller(Simulator):
    """The people behind the generic webhook: they hold the line, and are called back."""

    platform: ClassVar[str] = "webhook"
    token: ClassVar[str] = "caller-token"

    def settings(self, url: str) -> dict[str, Any]:
        """Return the account settings that fit."""
        return {"token": self.token, "callback_url": f"{url}/callback", "reply_within": 5.0}

    def webhook(self, text: str, *, sender: str = "", channel: str = "") -> Http:
        """Return a question."""
        body = {"content": text, "id": text, "sender_id": sender, "conversation_id": channel}
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        return Http(method="POST", headers=headers, body=msgspec.json.encode(body))

    def handle(self, request: Http) -> Response:
        """Take a late reply once per key."""
        key = request.headers.get("webhook-id", "")
        if (earlier := self.repeated(key, 86_400.0)) is not None:
            return earlier
        reply = wire.decode_object(request.body)
        self.accept("callback", reply["conversation_id"], text=reply["reply"], key=key)
        return self.remember(key, Response(status=204))


class Held(Stream):
    """Requests that wait for their reply in the response."""

    def taken(self, sample: Sample, status: int, body: bytes) -> bool:
        """Read the reply; 202 says that it comes by callback. Who was called back and asks again is told again."""
        if status == 200:
            reply = wire.decode_object(body)
            called = any(
                accepted.method == "callback" and accepted.text == reply["reply"] for accepted in self.simulator.sent
            )
            if not called:
                self.simulator.accept("response", reply["conversation_id"], text=reply["reply"])
        return status in {200, 202}


class Polled(Stream):
    """Messages that the service fetches: the platform keeps each until it is told that it was stored."""

    async def send(self, session: aiohttp.ClientSession, sample: Sample, patience: float) -> None:
        """Queue a message."""
        simulator: Any = self.simulator
        chat = self._channel.format(sample.conversation)
        simulator.deliver(sample.text, sender=chat, channel=chat)
        sample.attempts = 1
        sample.acknowledged = simulator.clock()


class Pushed(Stream):
    """Messages that come over a socket which the service opened: each is sent again until it is acknowledged."""

    async def send(self, session: aiohttp.ClientSession, sample: Sample, patience: float) -> None:
        """Push a message when those before it in its conversation were acknowledged, and wait until it is."""
        simulator: Any = self.simulator
        async with self._locks[sample.conversation]:
            name = simulator.links.push(self.request(sample))
            while not simulator.links.envelopes[name].acknowledged:
                await asyncio.sleep(0.05)
            sample.acknowledged = simulator.clock()


KINDS: Final = {"webhook": Held, "telegram": Polled, "socket": Pushed}
CHANNELS: Final = {"feishu": "oc_{:08}", "telegram": "1{:05}", "webhook": "room{}"}
"""Slack's is the default; the account `socket` is Slack's Socket Mode."""


def platform(name: str) -> Any:
    """Make the simulator of an account's platform."""
    simulator: Any = Caller() if name == "webhook" else simulators.load("slack" if name == "socket" else name)()
    simulator.unlimited()
    if name == "socket":
        simulator.links.acknowledge_within = 15.0  # on a busy machine all of it would come again and again
    return simulator


def settings(name: str, simulator: Any, url: str) -> dict[str, Any]:
    """Return an account's settings."""
    if name == "socket":
        return {"platform": "slack", **simulator.socket_settings(url)}
    found = {"platform": name, **simulator.settings(url)}
    if name == "telegram":
        del found["secret_token"]  # so that it polls
    return found


def stream(account: str, simulator: Any, bases: Sequence[str], size: int) -> Stream:
    """Make the stream of an account; `bases` are the addresses of the replicas that have a door."""
    hooks = [f"{base}/hooks/{account}" for base in bases]
    return KINDS.get(account, Stream)(account, simulator, hooks, channel=CHANNELS.get(account, "D{:08}"), size=size)


async def run(streams: Sequence[tuple[Stream, float]], seconds: float, stop: asyncio.Event) -> None:
    """Run streams at their rates until `stop`, or so many seconds."""
    async with asyncio.TaskGroup() as group:
        for each, rate in streams:
            group.create_task(each.run(rate, seconds, PATIENCE, stop=stop))
