"""The keeping of tokens: one grant for all replicas, nothing readable in the store, and what happens in trouble."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dragoman.adapter import Token
from dragoman.adapters.feishu import Feishu
from dragoman.adapters.slack import Slack
from dragoman.cache import Cache
from dragoman.cache.memory import Memory
from dragoman.engine.route import Policy
from dragoman.errors import CredentialRefused, NoAnswer
from dragoman.flow.account import Account, Accounts
from dragoman.flow.client import Client
from dragoman.flow.install import Callback, Installer
from dragoman.flow.media import MediaStore
from dragoman.flow.tokens import LEASE, Shelf, Tokens
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.flow.vault import Vault
from dragoman.model import Secret
from dragoman.store.base import GRACE
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock
from dragoman.testing.simulator import Fault, serve
from dragoman.testing.simulators.feishu import FeishuSimulator
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Credential, Http

CALLBACK = "https://bot.example.org/oauth/support/callback"
TENANT = Credential(name="tenant_token")
KEPT = "token:support:tenant_token:"
BOT = Credential(name="bot_token", workspace="T1")
SLOW = Fault(
    method="internal", status=200, delay=0.3, body=b'{"code":0,"msg":"ok","tenant_access_token":"t-slow","expire":7200}'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replica:
    """One process, as far as tokens are concerned."""

    account: Account
    client: Client
    installer: Installer

    async def token(self, credential: Credential) -> str:
        return await self.client.tokens.secret(self.account, credential, self.client.perform)


@dataclasses.dataclass(kw_only=True)
class Bench:
    """A platform, one account on it, and as many replicas as a test wants, on one store."""

    account: Account
    store: SqliteStore
    folder: Path
    clock: FakeClock
    stack: contextlib.AsyncExitStack
    cache: Cache | None = None
    """What all replicas share."""

    async def replica(self, **changed: Any) -> Replica:
        http = HttpTransport(MediaStore(self.folder / "media"))
        self.stack.push_async_callback(http.close)
        adapter = dataclasses.replace(self.account.adapter, **changed)
        account = dataclasses.replace(self.account, adapter=adapter)
        accounts = Accounts([account], self.clock)
        shelf = Shelf(store=self.store, vault=Vault(Secret(), self.folder, self.store, alone=True), cache=self.cache)
        await shelf.vault.check()
        tokens = Tokens(accounts, self.clock, shelf)
        self.stack.push_async_callback(tokens.close)
        client = Client(http, Hub(), accounts, self.clock, tokens=tokens)
        return Replica(account=account, client=client, installer=Installer(client, accounts, shelf, self.clock))


@contextlib.asynccontextmanager
async def bench(simulator: Any, adapter: type[Any], folder: Path, clock: FakeClock) -> AsyncIterator[Bench]:
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(simulator))
        store = await SqliteStore.open(folder / "dragoman.db", clock)
        stack.push_async_callback(store.close)
        found = simulator.settings(url) if adapter is Feishu else simulator.install_settings(url)
        settings = {name: Secret(value) if SECRET & set(name.split("_")) else value for name, value in found.items()}
        account = Account(name="support", adapter=adapter(account="support", **settings), policy=Policy())
        yield Bench(account=account, store=store, folder=folder, clock=clock, stack=stack)


SECRET = {"secret", "token", "key"}


@pytest.fixture
async def feishu(tmp_path: Path, clock: FakeClock) -> AsyncIterator[tuple[FeishuSimulator, Bench]]:
    simulator = FeishuSimulator(clock=clock)
    async with bench(simulator, Feishu, tmp_path, clock) as place:
        yield simulator, place


@pytest.fixture
async def slack(tmp_path: Path, clock: FakeClock) -> AsyncIterator[tuple[SlackSimulator, Bench]]:
    """Slack with rotating tokens, installed in the workspace T1."""
    simulator = SlackSimulator(clock=clock)
    simulator.oauth.rotation = True
    simulator.oauth.redirect_uris.add(CALLBACK)
    async with bench(simulator, Slack, tmp_path, clock) as place:
        await install(simulator, await place.replica())
        yield simulator, place


async def install(simulator: SlackSimulator, replica: Replica) -> None:
    """Let the workspace T1 install the app."""
    provider = replica.account.adapter.oauth()
    assert provider
    begun = await replica.installer.begin(replica.account, provider, CALLBACK)
    asked = dict(parse_qsl(urlsplit(begun.url).query))
    location = simulator.oauth.authorize(Http(query={**asked, "team": "T1"})).headers["location"]
    answer = dict(parse_qsl(urlsplit(location).query))
    await replica.installer.complete(replica.account, provider, CALLBACK, Callback(browser=begun.browser, **answer))
    simulator.oauth.exchanged.clear()


Feishus = tuple[FeishuSimulator, Bench]
Slacks = tuple[SlackSimulator, Bench]


async def test_two_replicas_that_need_a_token_at_once_ask_for_one(feishu: Feishus) -> None:
    simulator, place = feishu
    simulator.fail(dataclasses.replace(SLOW))
    replicas = [await place.replica(), await place.replica()]

    tokens = await asyncio.gather(*(replica.token(TENANT) for replica in replicas * 5))

    assert set(tokens) == {"t-slow"}
    assert simulator.calls.count("internal") == 1


async def test_a_token_outlives_the_process(feishu: Feishus) -> None:
    simulator, place = feishu
    before = await (await place.replica()).token(TENANT)

    assert await (await place.replica()).token(TENANT) == before
    assert simulator.calls.count("internal") == 1


async def test_what_the_cache_has_spares_the_store_a_question(feishu: Feishus) -> None:
    simulator, place = feishu
    place.cache = Cache(near=Memory())
    before = await (await place.replica()).token(TENANT)
    await place.store.keep(KEPT, "")

    assert await (await place.replica()).token(TENANT) == before
    assert simulator.calls.count("internal") == 1


@pytest.mark.parametrize("wrong", [b"", b"\xff\x00", b"1.nobody.AAAA", b"x" * 10_000])
async def test_what_is_wrong_in_the_cache_is_not_believed(feishu: Feishus, wrong: bytes) -> None:
    simulator, place = feishu
    place.cache = Cache(near=Memory())
    before = await (await place.replica()).token(TENANT)
    await place.cache.set(f"kept/{KEPT}", wrong, 600)

    assert await (await place.replica()).token(TENANT) == before
    assert simulator.calls.count("internal") == 1


async def test_an_old_token_in_the_cache_gives_way_to_the_one_that_is_stored(feishu: Feishus) -> None:
    _, place = feishu
    place.cache = Cache(near=Memory())
    before = await (await place.replica()).token(TENANT)
    sealed = await place.cache.get(f"kept/{KEPT}")
    assert sealed
    place.clock.advance(7200)
    after = await (await place.replica()).token(TENANT)
    await place.cache.set(f"kept/{KEPT}", sealed, 600)

    assert await (await place.replica()).token(TENANT) == after != before


async def test_a_token_near_its_end_is_renewed(feishu: Feishus) -> None:
    _, place = feishu
    replica = await place.replica()
    before = await replica.token(TENANT)
    place.clock.advance(7200 - 601)
    still = await replica.token(TENANT)
    place.clock.advance(2)

    assert still == before
    assert await replica.token(TENANT) != before


async def test_a_token_that_the_platform_refuses_is_renewed_and_the_call_repeated(feishu: Feishus) -> None:
    simulator, place = feishu
    replica, other = await place.replica(), await place.replica()
    before = await replica.token(TENANT)
    await other.token(TENANT)
    simulator._tokens.clear()

    for each in (replica, other):
        known = each.client.tokens._accounts.known(each.account)
        probe = await each.client.perform(each.account, each.account.adapter.probe(known))
        assert probe.problems == ()

    assert await other.token(TENANT) == await replica.token(TENANT) != before
    assert simulator.calls.count("internal") == 2


async def test_a_late_loser_does_not_throw_the_fresh_token_away(feishu: Feishus) -> None:
    simulator, place = feishu
    replica = await place.replica()
    old = await replica.token(TENANT)
    place.clock.advance(7000)
    fresh = await replica.token(TENANT)

    replica.client.tokens.drop("support", TENANT, old)

    assert await replica.token(TENANT) == fresh != old
    assert simulator.calls.count("internal") == 2


async def test_a_replica_that_died_while_it_renewed_is_followed(feishu: Feishus) -> None:
    _, place = feishu
    replica = await place.replica()
    assert await place.store.lease("grant:support:tenant_token:", "a dead one", LEASE)
    waiting = asyncio.create_task(replica.token(TENANT))
    await asyncio.wait({waiting}, timeout=0.5)
    assert not waiting.done()

    place.clock.advance(LEASE + GRACE + 1)

    assert await waiting


async def test_a_caller_who_is_cancelled_does_not_stop_the_renewal(feishu: Feishus) -> None:
    simulator, place = feishu
    simulator.fail(dataclasses.replace(SLOW))
    replica = await place.replica()
    caller = asyncio.create_task(replica.token(TENANT))
    async with asyncio.timeout(10):
        while "internal" not in simulator.calls:
            await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)

    assert caller.cancelled()
    assert await (await place.replica()).token(TENANT) == "t-slow"
    assert simulator.calls.count("internal") == 1


async def test_a_replica_that_overslept_takes_what_another_has_stored_since(feishu: Feishus) -> None:
    simulator, place = feishu
    late, other = await place.replica(), await place.replica()
    await late.token(TENANT)
    place.clock.advance(7000)
    simulator.fail(dataclasses.replace(SLOW))
    waiting = asyncio.create_task(late.token(TENANT))
    async with asyncio.timeout(10):
        while simulator.calls.count("internal") < 2:
            await asyncio.sleep(0.01)

    await other.client.tokens.keep(place.account, TENANT, Token(value="t-other", expires_in=7200))

    assert await waiting == "t-other"
    assert await (await place.replica()).token(TENANT) == "t-other"


async def test_changed_settings_get_a_token_of_their_own(feishu: Feishus) -> None:
    simulator, place = feishu
    await (await place.replica()).token(TENANT)
    await (await place.replica(conversation="sender")).token(TENANT)

    assert simulator.calls.count("internal") == 2


async def test_trouble_that_may_pass_is_no_refusal_and_nothing_was_sent(feishu: Feishus) -> None:
    simulator, place = feishu
    simulator.fail(Fault(method="internal", status=500))
    replica = await place.replica()

    with pytest.raises(NoAnswer) as silence:
        await replica.token(TENANT)

    assert not silence.value.sent
    assert await replica.token(TENANT)


async def test_no_token_can_be_read_in_the_store(slack: Slacks) -> None:
    simulator, place = slack
    token = await (await place.replica()).token(BOT)
    stored = b"".join(path.read_bytes() for path in place.folder.glob("dragoman.db*"))

    assert token in simulator.oauth.grants["T1"].access
    assert b"token:support:bot_token:T1" in stored
    assert token.encode() not in stored
    assert simulator.oauth.grants["T1"].refresh.encode() not in stored
    assert token not in repr(await (await place.replica()).client.tokens.stored(place.account, BOT))


async def test_refresh_tokens_rotate_and_one_replica_refreshes(slack: Slacks) -> None:
    simulator, place = slack
    tokens = [await (await place.replica()).token(BOT)]
    for _ in range(2):
        place.clock.advance(43_200)
        replicas = [await place.replica() for _ in range(3)]
        found = await asyncio.gather(*(replica.token(BOT) for replica in replicas))
        assert len(set(found)) == 1
        tokens.append(found[0])

    assert len(set(tokens)) == 3
    assert simulator.oauth.exchanged == ["refresh_token", "refresh_token"]
    assert simulator.refused == []


async def test_a_dead_refresh_token_is_tried_once_and_then_only_an_installation_helps(slack: Slacks) -> None:
    simulator, place = slack
    simulator.oauth.grants["T1"].refresh = "another one"
    place.clock.advance(43_200)
    for _ in range(2):
        replica = await place.replica()
        with pytest.raises(CredentialRefused, match="invalid_refresh_token") as refusal:
            await replica.token(BOT)
        assert refusal.value.workspace == "T1"
    assert simulator.oauth.exchanged == ["refresh_token"]

    await install(simulator, replica)

    assert await replica.token(BOT) in simulator.oauth.grants["T1"].access


async def test_a_refresh_whose_answer_is_lost_ends_in_a_clear_state(slack: Slacks) -> None:
    simulator, place = slack
    replica = await place.replica()
    place.clock.advance(43_200)
    simulator.fail(Fault(method="oauth.v2.access", after=True, drop=True))
    with pytest.raises(NoAnswer) as silence:
        await replica.token(BOT)
    assert not silence.value.sent

    with pytest.raises(CredentialRefused, match="install it by /oauth/support/install"):
        await replica.token(BOT)


async def test_a_wrong_client_secret_is_the_operators_and_costs_no_installation(slack: Slacks) -> None:
    _, place = slack
    place.clock.advance(43_200)
    wrong = await place.replica(client_secret=Secret("a wrong one"))
    with pytest.raises(CredentialRefused, match="bad_client_secret") as refusal:
        await wrong.token(BOT)

    assert refusal.value.workspace == ""
    assert await (await place.replica()).token(BOT)


async def test_a_workspace_without_installation_is_refused_by_its_name(slack: Slacks) -> None:
    simulator, place = slack
    elsewhere = Credential(name="bot_token", workspace="T2")

    with pytest.raises(CredentialRefused, match="not installed in the workspace T2") as refusal:
        await (await place.replica()).token(elsewhere)

    assert refusal.value.workspace == "T2"
    assert simulator.oauth.exchanged == []
