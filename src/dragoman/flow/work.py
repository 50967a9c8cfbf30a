"""The turns: claim a conversation, let the engine handle its next event, commit all that it wants at once."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from dragoman import telemetry
from dragoman.engine import route
from dragoman.engine.turn import TIMER, Turn
from dragoman.errors import (
    ConfigError,
    LostLease,
    MediaRefused,
    PluginError,
    StoreAway,
    StoreError,
    Unreachable,
    Unstorable,
)
from dragoman.flow import pressure, retry
from dragoman.flow.account import Account
from dragoman.flow.alarm import Alarm
from dragoman.flow.context import Context
from dragoman.model import (
    Action,
    Answer,
    Attachment,
    Cancel,
    Effect,
    Event,
    Line,
    Media,
    Remember,
    Say,
    Schedule,
    Timer,
)
from dragoman.store.base import Claim, Done, Handled, InDoubt, Memory, Outgoing, Stored
from dragoman.wire import Exchange, Http, Response

POLL: Final = 0.25
"""Seconds between looks, should no hint come."""
GIVE_UP: Final = 25.0
"""Seconds for which a claim is tried to be given back: by then its lease has ended."""
RENEW: Final = 10.0
"""Seconds between renewals of a running turn's lease."""

MOST_TIMERS: Final = 1000
"""Timers of a person that a turn is shown."""

KEPT: Final = (Remember, Schedule, Cancel)
"""Effects that are kept here: no platform hears of them."""

NOTHING: Final = frozenset({"v"})
"""What a state holds that is not worth keeping: its version alone."""

SLOWER: Final = "You are writing faster than I can answer. Please wait a minute. 您发得太快了，请过一分钟再试。"

log = telemetry.logger("work")


async def work(context: Context) -> None:
    """Run turns until told to stop; then finish those that run."""
    running = _Running(context.limits.turns)
    delay = pressure.Delay()
    try:
        while not context.stopping.is_set():
            if running.free <= 0:
                await running.less(context.stopping)
                continue
            claims = await _claim(context, running.free)
            delay = _observed(context, delay, claims)
            for claim in claims:
                running.begin(_guarded(context, claim, delay.hurried_since, running))
    finally:
        await _drain(running.turns)


class _Running:
    """The turns that run, each at a place; one that waits for its commit only has left its own to the next.

    As many as there are places may wait so besides: more would hide that the store is slow.
    """

    def __init__(self, places: int) -> None:
        self.turns: set[asyncio.Task[None]] = set()
        self._at_places: set[asyncio.Task[None] | None] = set()
        self._places = places
        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.alarm = Alarm(self._loop)

    @property
    def free(self) -> int:
        """Tell how many turns may begin."""
        return min(self._places - len(self._at_places), 2 * self._places - len(self.turns))

    def begin(self, turn: Coroutine[Any, Any, None]) -> None:
        """Let a turn run at a place, which it leaves at its end at the latest."""
        task = self._loop.create_task(turn)
        self.turns.add(task)
        self._at_places.add(task)
        task.add_done_callback(self._end)

    def leave(self) -> None:
        """Let another turn have the place of the one that calls this."""
        self._at_places.discard(asyncio.current_task(self._loop))
        self._bell.set()

    def _end(self, turn: asyncio.Task[None]) -> None:
        self.turns.discard(turn)
        self._at_places.discard(turn)
        self._bell.set()

    async def less(self, stopping: asyncio.Event) -> None:
        """Wait until one may begin, or the service is to stop."""
        stop = asyncio.ensure_future(stopping.wait())
        try:
            while self.free <= 0 and not stop.done():
                self._bell.clear()
                rings = asyncio.ensure_future(self._bell.wait())
                await asyncio.wait({rings, stop}, return_when=asyncio.FIRST_COMPLETED)
                rings.cancel()
        finally:
            stop.cancel()


async def _claim(context: Context, limit: int) -> Sequence[Claim]:
    telemetry.crash.passed("c4")
    try:
        return await context.store.claim(limit, POLL)
    except Exception as error:  # noqa: BLE001 - the loop outlives whatever the store meets
        log.error("claim.failed", reason=str(error))
        await asyncio.sleep(POLL)
        return ()


def _observed(context: Context, delay: pressure.Delay, claims: Sequence[Claim]) -> pressure.Delay:
    """Note how long what was claimed had to wait; says so when that begins or ends to hurry the turns."""
    waited = 0.0
    for claim in claims:
        waited = max(waited, claim.waited)
    telemetry.queue_delay.set(waited)
    now = pressure.observed(delay, waited, context.clock())
    if bool(now.hurried_since) != bool(delay.hurried_since):
        log.warning("turns.hurried" if now.hurried_since else "turns.unhurried", waited=round(waited, 1))
    return now


async def _drain(running: set[asyncio.Task[None]]) -> None:
    """Let running turns end; those that take too long are cancelled and run again elsewhere or later."""
    if running:
        _, late = await asyncio.wait(running, timeout=10.0)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _guarded(context: Context, claim: Claim, hurried_since: float, running: _Running) -> None:
    """Run one turn, whatever it does: an error is noted and tried again, at last parked."""
    telemetry.crash.passed("c5")
    event, began = claim.events[0].event, 0.0
    if context.tracer:
        began = context.clock()
        context.tracer.handling(claim)
    try:
        await _turn(context, claim, hurried_since, running)
    except asyncio.CancelledError:
        await _give_back(context, claim)
        raise
    except LostLease:
        telemetry.turns.labels(event.platform, "lost").inc()
        if context.tracer:
            context.tracer.handled(claim, began, "lost", fault="LostLease")
        log.warning("turn.lost", conversation=claim.conversation, message=claim.events[0].id)
    except Unstorable as error:  # nor will it ever be: it counts as the turn's own error
        await _failed(context, claim, error, began)
    except StoreError as away:  # not the message's fault: it is not counted, and tried again
        log.error("turn.interrupted", message=claim.events[0].id, reason=str(away))
        await asyncio.sleep(POLL)
        await _give_back(context, claim)
    except Exception as error:  # noqa: BLE001 - the outer loop: a plugin may raise anything, and costs its turn only
        await _failed(context, claim, error, began)


async def _give_back(context: Context, claim: Claim) -> None:
    """Release a claim, so that an absent store is not charged to the message; at last its lease ends by itself."""
    give_up = context.clock() + GIVE_UP
    while True:
        try:
            await context.store.release(claim)
        except StoreError as away:
            if context.stopping.is_set() or context.clock() > give_up:
                log.error("release.failed", conversation=claim.conversation, reason=str(away))
                return
            await asyncio.sleep(POLL * (1 + random.random()))  # noqa: S311 - a pause, not a secret
        else:
            return


async def _failed(context: Context, claim: Claim, error: Exception, began: float) -> None:
    stored = claim.events[0]
    reason = f"{type(error).__name__}: {error}" if isinstance(error, PluginError | Unstorable) else type(error).__name__
    log.error("turn.failed", message=stored.id, attempt=claim.attempt, error=telemetry.where(error))
    wait = retry.backoff(claim.attempt, random.random)
    try:
        parked = await context.store.retry(claim, wait, reason)
    except Exception as failure:  # noqa: BLE001 - the claim's lease ends by itself; nothing is lost
        log.error("retry.failed", message=stored.id, reason=str(failure))
        return
    outcome = "parked" if parked else "error"
    telemetry.turns.labels(stored.event.platform, outcome).inc()
    if context.tracer:
        context.tracer.handled(claim, began, outcome, fault=type(error).__name__)


async def _turn(context: Context, claim: Claim, hurried_since: float, running: _Running) -> None:
    """Route and handle one event, then commit."""
    stored = claim.events[0]
    event = stored.event
    account = context.accounts.get(event.account)
    if account is None:
        raise PluginError(f"account {event.account} is not configured any more")
    began = context.clock()
    world = _World(context, account, stored)
    now = context.store.timers.time()
    hurried = hurried_since and hurried_since + now - began
    turn = Turn(stored.turn, event, state=claim.state, now=now, world=world, hurried_since=hurried)
    outcome, handler = _gate(event, turn, account) or _limit(context, stored, turn, account), ""
    if not outcome:
        telemetry.crash.passed("c6")
        with _Watch(context, claim, running.alarm):
            handler = await route.handle(turn, account.plugins, context.plugins)
        outcome = "done" if handler else "unhandled"
    note = f"{handler}: {turn.remark}" if handler and turn.remark else handler or outcome
    handled = _handled(stored, turn, account, note, began, context.clock())
    telemetry.crash.passed("c7")
    running.leave()
    await context.store.commit(claim, handled)
    telemetry.crash.passed("c8")
    telemetry.turns.labels(event.platform, outcome).inc()
    telemetry.stage_seconds.took(began - stored.received_at, "route", event.platform)
    telemetry.stage_seconds.took(context.clock() - began, "respond", event.platform)
    if context.tracer:
        context.tracer.handled(claim, began, outcome, handler)
    log.info("handled", message=stored.id, handler=handled.handler, replies=len(handled.outgoing))


def _gate(event: Event, turn: Turn, account: Account) -> str:
    """Say why an event gets no turn of a plugin: the sender is not permitted, or the bot is not meant."""
    if not route.permitted(event, account.policy):
        return "refused"
    if not route.addressed(event, turn.state, account.policy):
        return "not addressed"
    return ""


def _limit(context: Context, stored: Stored, turn: Turn, account: Account) -> str:
    """Say that a sender sends too much to be answered; the sender is told once a minute."""
    limit = account.messages_per_minute if stored.event.kind != TIMER else 0
    if not limit or (count := context.senders.count(turn.person, stored.received_at)) <= limit:
        return ""
    if count == limit + 1:
        turn.say(SLOWER)
    return "limited"


class _Watch:
    """Keeps the lease of a running turn alive; ends a turn that takes too long, or was taken over.

    Raises `TimeoutError` or `LostLease`, and `PluginError` where nobody cancelled the turn: else it would be given
    back, uncounted, again and again.
    """

    def __init__(self, context: Context, claim: Claim, alarm: Alarm) -> None:
        self._context = context
        self._claim = claim
        self._alarm = alarm
        self._why: Exception | None = None
        self._renewal: asyncio.Task[None] | None = None
        self.due = 0.0

    def __enter__(self) -> None:
        now = self._alarm.loop.time()
        self._turn = asyncio.current_task(self._alarm.loop)
        self._until = now + self._context.limits.turn_seconds
        self._set(now)

    def _set(self, now: float) -> None:
        self.due = min(now + RENEW, self._until)
        self._alarm.add(self)

    def ring(self, now: float) -> None:
        """Renew the lease, or end the turn."""
        if now >= self._until:
            self._end(TimeoutError())
        else:
            self.due = self._until  # however late the store answers
            self._renewal = self._alarm.loop.create_task(self._renew())

    async def _renew(self) -> None:
        ours = await _renew(self._context, self._claim)
        if self._why is not None:  # its time was up meanwhile
            return
        if ours:
            self._set(self._alarm.loop.time())
        else:
            self._end(LostLease(self._claim.conversation))

    def _end(self, why: Exception) -> None:
        self._why = why
        self._alarm.drop(self)
        if self._turn is not None:
            self._turn.cancel()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._alarm.drop(self)
        if self._renewal is not None:
            self._renewal.cancel()
        if self._why is not None and self._turn is not None and not self._turn.uncancel():
            raise self._why from error
        if isinstance(error, asyncio.CancelledError) and self._turn is not None and not self._turn.cancelling():
            raise PluginError("what it waited for was cancelled, and not by us") from error


async def _renew(context: Context, claim: Claim) -> bool:
    """Renew a lease; a store that is away for a moment does not end the turn, the commit's fence decides."""
    try:
        return await context.store.renew(claim)
    except StoreAway as away:
        log.warning("renew.failed", conversation=claim.conversation, reason=str(away))
        return True


def _handled(stored: Stored, turn: Turn, account: Account, handler: str, began: float, ended: float) -> Handled:
    outgoing = tuple(_outgoing(stored, turn, account, ended))
    state = {} if turn.state.keys() <= NOTHING else turn.state
    if outgoing and account.policy.joins_threads and not state.get("joined"):
        state = {"v": 1, **state, "joined": True}
    handled = Handled(
        id=stored.id,
        handler=handler,
        state=state,
        outgoing=outgoing,
        received_at=stored.received_at,
        routed_at=began,
        responded_at=ended,
    )
    kept = [effect for effect in turn.effects if isinstance(effect, KEPT)]
    return _keeping(handled, turn, kept) if kept else handled


def _keeping(handled: Handled, turn: Turn, kept: Sequence[Effect]) -> Handled:
    """Add what a turn wants to be kept here: of persons and channels, and of timers."""
    memories = [
        Memory(person=name, key=effect.key, value=effect.value)
        for effect in kept
        if isinstance(effect, Remember)
        for name in turn.remembered_under(effect.scope)
    ]
    timers = _timers(kept)
    return msgspec.structs.replace(
        handled,
        memories=tuple(memories),
        timers=tuple([timer for timer in timers.values() if timer is not None]),
        cancelled=tuple([name for name, timer in timers.items() if timer is None]),
    )


def _timers(effects: Sequence[Effect]) -> dict[str, Timer | None]:
    """Return what a turn wants of each timer, by name: what it said last counts; None: to be taken away."""
    wanted: dict[str, Timer | None] = {}
    for effect in effects:
        if isinstance(effect, Schedule):
            wanted[effect.timer.name] = effect.timer
        elif isinstance(effect, Cancel):
            wanted[effect.name] = None
    return wanted


def _hold(stored: Stored, now: float) -> float:
    """Return the seconds that are left of those in which the held request may fetch the reply.

    It was received by another replica perhaps, by whose clock it is an hour later.
    """
    hold = stored.event.hold
    if not hold:
        return 0.0
    return min(hold, max(0.0, stored.received_at + hold - now))


def _outgoing(stored: Stored, turn: Turn, account: Account, ended: float) -> list[Outgoing]:
    """Turn effects into deliveries, each with the key `turn:effect:chunk`; what a platform cannot do is left out."""
    window, hold, outgoing = account.adapter.capabilities.idempotent_send, _hold(stored, ended), []
    address = stored.event.address
    for number, effect in enumerate(_with_answer(stored.event, turn)):
        for chunk, action in enumerate(_actions(effect, account, stored)):
            key = f"{stored.turn}:{number}:{chunk}"
            outgoing.append(Outgoing(key=key, action=action, address=address, window=window, hold=hold))
    return outgoing


def _actions(effect: Effect, account: Account, stored: Stored) -> Sequence[Action]:
    """Return what an effect asks of the platform: a long text is said in pieces."""
    if isinstance(effect, Say):
        return [Say(message=piece) for piece in account.adapter.split(effect.message)]
    if isinstance(effect, KEPT):
        return ()
    if type(effect).__name__.lower() not in account.adapter.capabilities.actions:
        log.debug("action.left_out", message=stored.id, action=type(effect).__name__)
        return ()
    return (effect,)


def _with_answer(event: Event, turn: Turn) -> list[Effect]:
    """Return a turn's effects, with an answer to the pressed button if no handler gave one."""
    interaction = event.value.get("interaction_id") if event.kind == "action" else None
    if not interaction or any(isinstance(effect, Answer) for effect in turn.effects):
        return turn.effects
    return [*turn.effects, Answer(interaction_id=str(interaction))]


class _World:
    """What a turn may ask for: the journal, the history, files and people's memory."""

    def __init__(self, context: Context, account: Account, stored: Stored) -> None:
        self._context = context
        self._account = account
        self._stored = stored

    async def once(
        self, turn: str, name: str, step: Callable[..., Awaitable[Any]], arguments: Sequence[Any], *, repeat: bool
    ) -> Any:
        """Run a step unless its result is journaled already."""
        store = self._context.store
        begun = await store.once(turn, name, msgspec.json.encode(arguments).decode())
        if isinstance(begun, Done):
            return begun.result
        if isinstance(begun, InDoubt) and not repeat:
            raise PluginError(f"{name} was under way when the process died; nobody knows whether it happened")
        tracer = self._context.tracer
        with tracer.within("once", {"dragoman.step": name}) if tracer else contextlib.nullcontext():
            result = await step(*arguments)
        await store.done(turn, name, result)
        return result

    async def history(self, conversation: str, limit: int) -> Sequence[Line]:
        """Read what was said before this event."""
        return await self._context.reader.history(conversation, limit, self._stored.id)

    async def fetch(self, attachment: Attachment) -> Media:
        """Fetch an attachment into the media store."""
        if attachment.media is not None:
            return attachment.media
        known = self._context.accounts.known(self._account)
        exchange = self._account.adapter.fetch(attachment, known)
        media = await self._context.client.perform(self._account, exchange)
        if media is None:
            raise MediaRefused("the platform sent no file")
        return media

    async def call(self, request: Http) -> Response:
        """Make a request of a plugin's, which reaches the public internet only."""
        outside = msgspec.structs.replace(request, reach="public")
        try:
            return await self._context.client.perform(self._account, _asked(outside))
        except ConfigError as error:  # a reference that cannot be read
            raise PluginError(str(error)) from error

    async def memory(self, person: str, key: str) -> Any:
        """Read what is remembered of a person."""
        return await self._context.store.memory(person, key)

    def unreachable(self) -> str:
        """Say why nothing can be said later in this conversation, unasked."""
        try:
            self._account.adapter.unasked(self._stored.event.address)
        except Unreachable as error:
            return str(error)
        return ""

    async def timers(self, person: str) -> Sequence[Timer]:
        """List a person's timers."""
        return await self._context.store.timers.of_person(person, MOST_TIMERS)


def _asked(request: Http) -> Exchange[Response]:
    """Ask once, and give back the answer as it came."""
    return (yield request)
