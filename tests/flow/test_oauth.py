"""The OAuth2 client: its exchanges by the letter of the RFCs, and the whole flow with a strict provider of others.

The provider is npm's `oidc-provider` (`oidc/provider.mjs`): PKCE is required, refresh tokens rotate, and one that comes
twice ends the whole grant.
"""

import asyncio
import base64
import contextlib
import dataclasses
import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

import aiohttp
import msgspec
import pytest

from dragoman.adapter import (
    Adapter,
    Capabilities,
    Installed,
    Known,
    Payload,
    Provider,
    Receipt,
    Token,
    platform,
    setting,
)
from dragoman.engine.route import Policy
from dragoman.errors import CredentialRefused, Malformed, NoAnswer
from dragoman.flow import oauth
from dragoman.flow.account import Account, Accounts
from dragoman.flow.client import Client
from dragoman.flow.install import GOOD_FOR, MOST, Begun, Callback, Installer, NotInstalled
from dragoman.flow.media import MediaStore
from dragoman.flow.oauth import Denied
from dragoman.flow.tokens import Shelf, Tokens
from dragoman.flow.transport.http import HttpTransport
from dragoman.flow.transport.local import Hub
from dragoman.flow.vault import Vault
from dragoman.model import Delivery, Secret
from dragoman.store.sqlite import SqliteStore
from dragoman.testing.clock import FakeClock
from dragoman.wire import Credential, Exchange, Http, Outcome, Refused, Response, json_response, run

HERE: Final = Path(__file__).parent / "oidc"
SOURCES: Final = ("package.json", "package-lock.json", "provider.mjs")
CACHE: Final = Path(__file__).parents[2] / "build" / "oidc"
CLIENT: Final = "dragoman-of-the-tests"
SECRET: Final = "a-client-secret-of-the-tests"
CALLBACK: Final = "https://bot.example.org/oauth/home/callback"
ACCESS: Final = Credential(name="access", workspace="everything")

PROVIDER = Provider(
    authorize="https://id.example.org/auth",
    token="https://id.example.org/token",
    client_id="a client",
    scopes=("read", "write"),
    revoke="https://id.example.org/revoke",
)


@platform
class Workshop(Adapter):
    """A platform whose app is installed by OAuth2 and nothing else."""

    platform: ClassVar[str] = "workshop"
    title: ClassVar[str] = "Workshop"
    capabilities: ClassVar[Capabilities] = Capabilities(max_text=1000)

    issuer: str = setting("Where the provider is.")
    client_secret: Secret = setting("The client's secret.", default=Secret(SECRET))
    access: Secret = setting("Left empty: it comes from an installation.", default=Secret())

    def oauth(self) -> Provider:
        return Provider(
            authorize=f"{self.issuer}/auth",
            token=f"{self.issuer}/token",
            client_id=CLIENT,
            scopes=("openid", "offline_access"),
            query={"prompt": "consent"},
            revoke=f"{self.issuer}/token/revocation",
        )

    def installed(self, answer: Mapping[str, Any]) -> Installed:
        return Installed(workspace="everything", tokens={"access": oauth.token_of(dict(answer))})

    def parse(self, payload: Payload, known: Known) -> Receipt:
        return Receipt()

    def send(self, delivery: Delivery, known: Known) -> Exchange[Outcome]:
        return Refused(reason="nothing is sent here")
        yield


@dataclasses.dataclass(frozen=True, kw_only=True)
class House:
    """One replica, with one account."""

    account: Account
    client: Client
    installer: Installer

    @property
    def provider(self) -> Provider:
        provider = self.account.adapter.oauth()
        assert provider
        return provider

    async def begin(self) -> Begun:
        return await self.installer.begin(self.account, self.provider, CALLBACK)

    async def complete(self, callback: Callback) -> Installed:
        return await self.installer.complete(self.account, self.provider, CALLBACK, callback)

    async def token(self) -> str:
        return await self.client.tokens.secret(self.account, ACCESS, self.client.perform)


Build = Callable[[str], House]


@pytest.fixture
async def build(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Build]:
    """Make replicas on one store."""
    async with contextlib.AsyncExitStack() as stack:
        store = await SqliteStore.open(tmp_path / "dragoman.db", clock)
        stack.push_async_callback(store.close)

        def make(issuer: str) -> House:
            http = HttpTransport(MediaStore(tmp_path / "media"))
            stack.push_async_callback(http.close)
            account = Account(name="home", adapter=Workshop(account="home", issuer=issuer), policy=Policy())
            accounts = Accounts([account], clock)
            shelf = Shelf(store=store, vault=Vault(Secret(), tmp_path, store, alone=True))
            client = Client(http, Hub(), accounts, clock, tokens=Tokens(accounts, clock, shelf))
            return House(account=account, client=client, installer=Installer(client, accounts, shelf, clock))

        yield make


def module() -> Path:
    """Install the provider from its lock file into a folder outside of the sources, once; returns the folder.

    Tests that run beside this one wait for the same installation.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        pytest.skip("node and npm are not installed: the real OAuth2 provider cannot run")
    sources = b"".join((HERE / name).read_bytes() for name in SOURCES)
    folder = CACHE / hashlib.sha256(sources).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(npm, folder)
            (folder / "complete").touch()
    return folder


def _install(npm: str, folder: Path) -> None:
    for name in SOURCES:
        shutil.copy(HERE / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)  # noqa: S603 - our own words
    if done.returncode:
        pytest.skip(f"npm cannot install oidc-provider: {done.stderr[-300:]}")


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """Run the real provider; yields its address."""
    folder = await asyncio.to_thread(module)
    process = await asyncio.create_subprocess_exec(
        "node",
        *("provider.mjs", CLIENT, SECRET, CALLBACK),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        yield line.decode().split()[1]
    finally:
        process.terminate()
        await process.communicate()


FORM: Final = re.compile(r'<form[^>]*action="([^"]+)"')
HIDDEN: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]+)"')


async def walk(url: str) -> Callback:
    """Go through the provider's own pages as a person's browser does: log in, consent, and be sent back."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        form: dict[str, str] | None = None
        for _ in range(12):
            async with browser.request(
                "POST" if form is not None else "GET", url, data=form, allow_redirects=False
            ) as answer:
                page = await answer.text()
                place = answer.headers.get("location", "")
            if place.startswith(CALLBACK):
                query = parse_qs(urlsplit(place).query)
                assert query["iss"] == [f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"]
                return Callback(browser="", state=query["state"][0], code=query["code"][0])
            if place:
                url, form = urljoin(url, place), None
                continue
            found = FORM.search(page)
            assert found, page[:500]
            url = urljoin(url, found[1])
            form = {**dict(HIDDEN.findall(page)), "login": "somebody", "password": "anything"}
    raise AssertionError("the provider did not send the person back")


async def active(issuer: str, token: str) -> bool:
    """Ask the provider itself whether a token is good."""
    proof = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    async with (
        aiohttp.ClientSession(headers={"authorization": f"Basic {proof}"}) as session,
        session.post(f"{issuer}/token/introspection", data={"token": token}) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        return bool(found["active"])


async def installed(house: House) -> None:
    begun = await house.begin()
    came = await walk(begun.url)
    await house.complete(Callback(browser=begun.browser, state=came.state, code=came.code))


async def test_a_real_provider_grants_refreshes_with_rotation_and_refuses_reuse(
    build: Build, issuer: str, clock: FakeClock
) -> None:
    house = build(issuer)
    await installed(house)
    first = await house.client.tokens.stored(house.account, ACCESS)
    assert first
    assert await active(issuer, first.value)

    tokens, refreshes = [first.value], [first.refresh]
    for _ in range(2):
        clock.advance(60)
        tokens.append(await house.token())
        kept = await house.client.tokens.stored(house.account, ACCESS)
        assert kept
        assert kept.value == tokens[-1]
        refreshes.append(kept.refresh)

    assert len(set(tokens)) == len(set(refreshes)) == 3
    assert await active(issuer, tokens[-1])
    again = await house.client.perform(house.account, oauth.refresh(house.provider, refreshes[0]))
    assert again == Denied(error="invalid_grant", dead=True)

    # the provider ends the whole grant when a refresh token comes twice, and so do we
    clock.advance(60)
    for _ in range(2):
        with pytest.raises(CredentialRefused, match="invalid_grant"):
            await house.token()


async def test_two_replicas_refresh_once_at_a_real_provider(build: Build, issuer: str, clock: FakeClock) -> None:
    houses = [build(issuer), build(issuer)]
    await installed(houses[0])
    clock.advance(60)

    found = await asyncio.gather(*(house.token() for house in houses * 4))

    # a second refresh with the same token would have ended the grant
    assert len(set(found)) == 1
    assert await active(issuer, found[0])


async def test_removing_an_installation_revokes_its_tokens_at_a_real_provider(build: Build, issuer: str) -> None:
    house = build(issuer)
    await installed(house)
    kept = await house.client.tokens.stored(house.account, ACCESS)
    assert kept
    assert await active(issuer, kept.value)
    assert await active(issuer, kept.refresh)

    assert await house.installer.remove(house.account, "everything")

    assert not await active(issuer, kept.value)
    assert not await active(issuer, kept.refresh)
    assert await house.installer.installations(house.account) == {}
    with pytest.raises(CredentialRefused, match="not installed"):
        await house.token()


async def test_an_attempt_that_began_at_one_replica_is_completed_at_another(build: Build, issuer: str) -> None:
    begun = await build(issuer).begin()
    came = await walk(begun.url)
    other = build(issuer)

    await other.complete(Callback(browser=begun.browser, state=came.state, code=came.code))

    assert await active(issuer, await other.token())


async def test_a_real_provider_refuses_a_code_with_the_wrong_verifier(build: Build, issuer: str) -> None:
    house = build(issuer)
    begun = await house.begin()
    came = await walk(begun.url)

    exchange = oauth.exchange(house.provider, came.code, CALLBACK, "x" * 43)
    answer = await house.client.perform(house.account, exchange)

    assert answer == Denied(error="invalid_grant", dead=True)


async def test_a_wrong_client_secret_is_told_from_a_dead_grant_by_a_real_provider(build: Build, issuer: str) -> None:
    house = build(issuer)
    adapter = dataclasses.replace(house.account.adapter, client_secret=Secret("a wrong one"))  # type: ignore[call-arg]  # it is a Workshop
    wrong = dataclasses.replace(house.account, adapter=adapter)

    with pytest.raises(CredentialRefused, match="invalid_client"):
        await house.client.perform(wrong, oauth.refresh(house.provider, "whatever"))


@pytest.mark.parametrize(
    "changed",
    [{"state": "another"}, {"browser": "another"}, {"state": ""}],
    ids=["another state", "another browser", "no state"],
)
async def test_an_attempt_is_bound_to_its_state_and_its_browser(build: Build, changed: dict[str, str]) -> None:
    house = build("http://127.0.0.1:9")
    begun = await house.begin()
    callback = {"browser": begun.browser, "state": state_of(begun), "code": "a code", **changed}

    with pytest.raises(NotInstalled) as failure:
        await house.complete(Callback(**callback))

    assert failure.value.reason == "stale"


async def test_an_attempt_is_good_once_whatever_came_of_it(build: Build) -> None:
    house = build("http://127.0.0.1:9")
    begun = await house.begin()
    reasons = []
    for error in ("access_denied", ""):
        with pytest.raises(NotInstalled) as failure:
            await house.complete(Callback(browser=begun.browser, state=state_of(begun), code="", error=error))
        reasons.append(failure.value.reason)

    assert reasons == ["declined", "stale"]


async def test_an_attempt_is_void_after_ten_minutes(build: Build, clock: FakeClock) -> None:
    house = build("http://127.0.0.1:9")
    begun = await house.begin()
    clock.advance(GOOD_FOR)

    with pytest.raises(NotInstalled) as failure:
        await house.complete(Callback(browser=begun.browser, state=state_of(begun), code="a code"))

    assert failure.value.reason == "stale"


async def test_the_store_does_not_know_a_state(build: Build, tmp_path: Path) -> None:
    begun = await build("http://127.0.0.1:9").begin()
    stored = whole(tmp_path)

    assert b"attempts:home" in stored
    assert state_of(begun).encode() not in stored
    assert hashlib.sha256(state_of(begun).encode()).hexdigest().encode() not in stored


async def test_open_attempts_are_bounded(build: Build) -> None:
    house = build("http://127.0.0.1:9")
    first = await house.begin()
    for _ in range(MOST):
        last = await house.begin()

    with pytest.raises(NotInstalled, match="unknown"):
        await house.complete(Callback(browser=first.browser, state=state_of(first), error="access_denied"))
    with pytest.raises(NotInstalled, match="access_denied"):
        await house.complete(Callback(browser=last.browser, state=state_of(last), error="access_denied"))


async def test_a_provider_that_is_silent_is_trouble_and_no_refusal(build: Build) -> None:
    house = build("http://127.0.0.1:9")
    begun = await house.begin()

    with pytest.raises(NotInstalled) as failure:
        await house.complete(Callback(browser=begun.browser, state=state_of(begun), code="a code"))

    assert failure.value.reason == "trouble"


def whole(folder: Path) -> bytes:
    """Read all that the store has on disk."""
    return b"".join(path.read_bytes() for path in folder.glob("dragoman.db*"))


def state_of(begun: Begun) -> str:
    return dict(parse_qsl(urlsplit(begun.url).query))["state"]


def test_the_authorisation_address_has_what_the_rfcs_want() -> None:
    url = oauth.authorization_url(PROVIDER, CALLBACK, "a state", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    assert url.startswith("https://id.example.org/auth?")
    assert dict(parse_qsl(urlsplit(url).query)) == {
        "response_type": "code",
        "client_id": "a client",
        "redirect_uri": CALLBACK,
        "scope": "read write",
        "state": "a state",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # RFC 7636, appendix B
        "code_challenge_method": "S256",
    }


def test_the_client_proves_itself_by_name_only() -> None:
    asked = next(oauth.exchange(PROVIDER, "a code", CALLBACK, "a verifier"))
    assert isinstance(asked, Http)
    assert (asked.auth, asked.place, asked.user) == (Credential(name="client_secret"), "basic", "a%20client")
    assert asked.form == {
        "grant_type": "authorization_code",
        "code": "a code",
        "redirect_uri": CALLBACK,
        "code_verifier": "a verifier",
    }
    assert not asked.repeatable

    by_form = msgspec.structs.replace(PROVIDER, proof="post", pkce=False)
    posted = next(oauth.exchange(by_form, "a code", CALLBACK, "a verifier"))
    assert isinstance(posted, Http)
    assert posted.form
    assert posted.auth is None
    assert posted.form["client_secret"] == Credential(name="client_secret")
    assert "code_verifier" not in posted.form


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json_response({"access_token": "a", "expires_in": "60"}), Token(value="a", expires_in=60, refresh="old")),
        (json_response({"access_token": "a", "refresh_token": "b"}), Token(value="a", expires_in=None, refresh="b")),
        (json_response({"error": "invalid_grant"}, 400), Denied(error="invalid_grant", dead=True)),
        (json_response({"ok": False, "error": "invalid_scope"}), Denied(error="invalid_scope")),
        (Response(status=403, body=b"<html>"), Denied(error="status 403")),
    ],
    ids=["kept", "rotated", "dead", "denied with 200", "no json"],
)
def test_what_an_answer_to_a_refresh_means(answer: Response, expected: Token | Denied) -> None:
    assert run(oauth.refresh(PROVIDER, "old"), answer) == expected


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response(status=500), NoAnswer),
        (Response(status=429), NoAnswer),
        (json_response({"error": "temporarily_unavailable"}, 400), NoAnswer),
        (json_response({"error": "invalid_client"}, 401), CredentialRefused),
        (json_response({"ok": False, "error": "bad_client_secret"}), CredentialRefused),
        (json_response({"token_type": "bearer"}), Malformed),
        (json_response({"access_token": 7}), Denied),
        (json_response(["access_token"]), Denied),
    ],
)
def test_trouble_of_the_server_and_of_the_app_is_told_apart(answer: Response, error: Any) -> None:
    try:
        result: object = run(oauth.refresh(PROVIDER, "old"), answer)
    except (NoAnswer, CredentialRefused, Malformed) as failure:
        result = failure

    assert isinstance(result, error)


def test_neither_token_shows_itself() -> None:
    assert "secret words" not in repr(Token(value="secret words", expires_in=None, refresh="secret words"))
