"""Who may open the chat page: Host, Origin, the token of the printed link, and the cookies."""

import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Site, Start

EVERYWHERE: Mapping[str, Any] = {"host": "0.0.0.0"}
SESSION = {"cookie": "dragoman_chat=a-chat-of-the-tests"}


def cookie_header(*answers: "Answer") -> dict[str, str]:
    """Return the Cookie header that a browser sends after these answers."""
    values = {name: morsel.value for answer in answers for name, morsel in answer.cookies.items()}
    return {"cookie": "; ".join(f"{name}={value}" for name, value in values.items())}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knock:
    """What came of opening the chat socket: the handshake's status, and the first frame where it opened."""

    status: int
    first: Any = None

    @property
    def refused(self) -> bool:
        return self.status == 403


async def knock(site: "Site", headers: Mapping[str, str]) -> Knock:
    """Open the chat socket with these headers."""
    try:
        async with site.session.ws_connect(f"{site.url}/chat/socket", headers=headers) as socket:
            return Knock(status=101, first=await socket.receive_json(timeout=10))
    except aiohttp.WSServerHandshakeError as error:
        return Knock(status=error.status)


@pytest.fixture
async def everywhere(start: "Start") -> AsyncIterator["Site"]:
    """A service that other machines can reach."""
    async with start(**EVERYWHERE) as running:
        yield running


def link_token(site: "Site") -> str:
    return site.house.guard.chat_token.reveal()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST", "[::1]", "localhost:8080"])
async def test_the_page_opens_under_the_names_of_this_machine(site: "Site", host: str) -> None:
    assert (await site.get("/chat", host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#localhost",
        "192.0.2.7",
        "2130706433",
    ],
)
async def test_a_foreign_host_is_refused_against_rebinding(site: "Site", host: str) -> None:
    page = await site.get("/chat", host=host)
    socket = await knock(site, {"host": host, "origin": f"http://{host}", **SESSION})

    assert page.status == 403
    assert "hosts" in page.text
    assert socket.refused


@pytest.mark.parametrize("host", ["[::1", "[", "[evil]", "a]b"])
async def test_a_host_that_is_no_address_is_refused(site: "Site", host: str) -> None:
    answer = await site.get("/chat", host=host)

    assert answer.status in {400, 403}


async def test_a_host_that_the_settings_name_is_ours(start: "Start") -> None:
    names = {"hosts": ["bot.example.org"], "public_url": "https://chat.example.org/dragoman", "public": True}
    async with start(**names) as site:
        named = await site.get("/chat", host="bot.example.org")
        public = await site.get("/chat", host="chat.example.org")
        other = await site.get("/chat", host="www.example.org")

    assert (named.status, public.status, other.status) == (200, 200, 403)


@pytest.mark.parametrize("setting", [{"public_url": "https://chat.example.org"}, {"chat_token": "a chat token"}])
async def test_behind_a_proxy_the_page_asks_for_the_token_though_bound_to_loopback(
    start: "Start", setting: dict[str, str]
) -> None:
    async with start(**setting) as site:
        page = await site.get("/chat")
        metrics = await site.get("/metrics")

    assert (page.status, metrics.status) == (401, 401)


async def test_the_socket_opens_for_our_own_page(site: "Site") -> None:
    opened = await knock(site, {"origin": site.url, **SESSION})

    assert opened.first == {"type": "history", "lines": []}


@pytest.mark.parametrize(
    "origin",
    ["", "null", "http://evil.example", "http://localhost:1", "http://127.0.0.1", "file://", "http://["],
)
async def test_a_missing_or_foreign_origin_is_refused(site: "Site", origin: str) -> None:
    sent = {"origin": origin} if origin else {}

    assert (await knock(site, {**sent, **SESSION})).refused


async def test_the_socket_needs_the_cookie_that_the_page_sets(site: "Site") -> None:
    page = await site.get("/chat")

    without = await knock(site, {"origin": site.url})
    with_it = await knock(site, {"origin": site.url, **cookie_header(page)})

    assert without.refused
    assert with_it.status == 101


async def test_an_endless_cookie_is_refused(site: "Site") -> None:
    assert (await knock(site, {"origin": site.url, "cookie": "dragoman_chat=" + "x" * 65})).refused


async def test_the_cookies_are_out_of_reach_of_scripts_and_of_other_sites(everywhere: "Site") -> None:
    link = await everywhere.get(f"/chat?token={link_token(everywhere)}")
    page = await everywhere.get("/chat", **cookie_header(link))

    for morsel in (*link.cookies.values(), *page.cookies.values()):
        assert morsel["httponly"]
        assert morsel["samesite"].lower() in {"lax", "strict"}


async def test_a_page_opened_again_keeps_its_conversation(site: "Site") -> None:
    first = await site.get("/chat")
    second = await site.get("/chat", **cookie_header(first))

    assert "dragoman_chat" in first.cookies
    assert "dragoman_chat" not in second.cookies


async def test_beyond_loopback_the_page_asks_for_the_token(everywhere: "Site") -> None:
    page = await everywhere.get("/chat")
    wrong = await everywhere.get("/chat?token=wrong")
    socket = await knock(everywhere, {"origin": everywhere.url, **SESSION})

    assert (page.status, wrong.status) == (401, 401)
    assert socket.refused


async def test_the_link_becomes_a_cookie_and_leaves_the_address_bar(everywhere: "Site") -> None:
    link = await everywhere.get(f"/chat?token={link_token(everywhere)}")
    page = await everywhere.get("/chat", **cookie_header(link))
    socket = await knock(everywhere, {"origin": everywhere.url, **cookie_header(link, page)})

    assert (link.status, link.headers["location"]) == (303, "/chat")
    assert page.status == 200
    assert socket.status == 101


async def test_a_new_link_opens_the_page_for_a_browser_with_an_old_cookie(everywhere: "Site") -> None:
    link = await everywhere.get(f"/chat?token={link_token(everywhere)}", cookie="dragoman_key=of-an-earlier-start")

    assert link.status == 303


async def test_a_wrong_link_does_not_lock_out_a_browser_with_a_good_cookie(everywhere: "Site") -> None:
    good = await everywhere.get(f"/chat?token={link_token(everywhere)}")
    wrong = await everywhere.get("/chat?token=wrong", **cookie_header(good))

    assert "wrong" not in cookie_header(good, wrong)["cookie"]


async def test_a_link_never_sends_its_token_on(everywhere: "Site") -> None:
    link = await everywhere.get(f"/chat?token={link_token(everywhere)}")
    page = await everywhere.get("/chat", **cookie_header(link))

    assert page.headers["referrer-policy"] == "no-referrer"
    assert link_token(everywhere) not in page.text


async def test_a_chat_token_may_be_set(start: "Start") -> None:
    async with start(**EVERYWHERE, chat_token="chosen") as site:
        assert (await site.get("/chat?token=chosen")).status == 303


async def test_a_public_page_needs_no_token(start: "Start") -> None:
    async with start(**EVERYWHERE, public=True) as site:
        page = await site.get("/chat")
        socket = await knock(site, {"origin": site.url, **cookie_header(page)})

    assert page.status == 200
    assert socket.status == 101


@pytest.mark.parametrize("host", ["192.0.2.7", "[2001:db8::1]", "127.0.0.1"])
async def test_bound_to_all_addresses_any_literal_one_is_ours(everywhere: "Site", host: str) -> None:
    assert (await everywhere.get("/chat", host=host)).status == 401


async def test_bound_to_all_addresses_a_foreign_name_is_still_refused(everywhere: "Site") -> None:
    token = link_token(everywhere)

    assert (await everywhere.get(f"/chat?token={token}", host="evil.example")).status == 403


@pytest.mark.parametrize("path", ["/chat", "/static/chat.js", "/static/chat.css", "/static/icon.svg"])
async def test_the_page_forbids_foreign_and_inline_scripts(site: "Site", path: str) -> None:
    answer = await site.get(path)

    directives = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    scripts = directives.get("script-src", directives["default-src"])
    assert answer.status == 200
    assert scripts == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert directives["object-src"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/static/app.py", "/static/..%2fapp.py", "/static/", "/nothing"])
async def test_nothing_else_is_served(site: "Site", path: str) -> None:
    assert (await site.get(path)).status == 404


async def test_the_root_leads_to_the_chat(site: "Site") -> None:
    answer = await site.get("/")

    assert answer.status in {302, 303, 307}
    assert answer.headers["location"] == "/chat"


async def test_a_switched_off_chat_page_is_not_found(start: "Start") -> None:
    async with start({"web": {"platform": "web", "enabled": False}}) as site:
        page = await site.get("/chat")
        socket = await knock(site, {"origin": site.url, **SESSION})

    assert page.status == 404
    assert socket.refused
