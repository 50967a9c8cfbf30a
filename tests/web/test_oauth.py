"""Installing Slack's app in several workspaces through the running service, and what the two pages refuse."""

import asyncio
import contextlib
import dataclasses
import io
import sys
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from dragoman.testing.simulator import Fault, serve
from dragoman.testing.simulators.slack import SlackSimulator
from dragoman.wire import Http

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Site, Start

PUBLIC = "https://bot.example.org"
CALLBACK = f"{PUBLIC}/oauth/bench/callback"
TOKEN = "a-chat-token-of-the-tests"
COOKIE = "__Host-dragoman_install"
KEY = {"cookie": f"dragoman_key={TOKEN}"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Desk:
    """A running bot with an app that workspaces install, and the simulated Slack."""

    slack: SlackSimulator
    site: "Site"

    async def open(self, page: str, *, cookie: str = "", **query: str) -> "Answer":
        headers = {"cookie": cookie} if cookie else {}
        return await self.site.request("GET", f"/oauth/bench/{page}", params=query, headers=headers)

    async def begin(self) -> tuple[str, str]:
        """Open the installation link; returns where it leads, and the cookie that the browser has then."""
        answer = await self.site.get("/oauth/bench/install", **KEY)
        assert answer.status == 303
        return answer.headers["location"], f"{COOKIE}={answer.cookies[COOKIE].value}"

    def allow(self, url: str, team: str = "T1") -> dict[str, str]:
        """Allow the app at Slack; returns what Slack sends the browser back with."""
        query = dict(parse_qsl(urlsplit(url).query))
        location = self.slack.oauth.authorize(Http(query={**query, "team": team})).headers["location"]
        assert location.startswith(f"{CALLBACK}?")
        return dict(parse_qsl(urlsplit(location).query))

    async def install(self, team: str = "T1") -> "Answer":
        url, cookie = await self.begin()
        return await self.open("callback", cookie=cookie, **self.allow(url, team))

    async def say(self, text: str, team: str, **place: str) -> None:
        await self.post(self.slack.webhook(text, team=team, **place))

    async def happen(self, inner: Mapping[str, Any], team: str) -> None:
        await self.post(self.slack.event(dict(inner), team=team))

    async def post(self, request: Http) -> None:
        answer = await self.site.request("POST", "/hooks/bench", data=request.body, headers=request.headers)
        assert answer.status == 200

    async def answered(self, *texts: str) -> None:
        """Wait until exactly this was said."""

        async def said() -> bool:
            return len(self.texts) >= len(texts)

        await self.site.until(said)
        assert sorted(self.texts) == sorted(texts)

    @property
    def texts(self) -> list[str]:
        return [accepted.text for accepted in self.slack.sent]


@contextlib.asynccontextmanager
async def desk(start: "Start", slack: SlackSimulator | None = None, **account: Any) -> AsyncIterator[Desk]:
    slack = slack or SlackSimulator()
    async with serve(slack) as url:
        slack.oauth.redirect_uris.add(CALLBACK)
        settings = slack.install_settings(url)
        table = {"platform": "slack", **settings, **account}
        async with start({"bench": table}, public_url=PUBLIC, chat_token=TOKEN, plugins=["echo"]) as site:
            yield Desk(slack=slack, site=site)


async def test_workspaces_install_the_app_and_each_is_answered_with_its_own_token(start: "Start") -> None:
    async with desk(start) as bot:
        pages = [await bot.install(team) for team in ("T1", "T2")]
        await bot.say("one", "T1", channel="D1")
        await bot.say("two", "T2", channel="D2")
        await bot.answered("echo: one", "echo: two")

        assert [page.status for page in pages] == [200, 200]
        assert "installed in Workspace T1" in pages[0].text
        assert {(accepted.channel, accepted.text) for accepted in bot.slack.sent} == {
            ("D1", "echo: one"),
            ("D2", "echo: two"),
        }
        assert sorted(bot.slack.served) == [("chat.postMessage", "T1"), ("chat.postMessage", "T2")]
        assert bot.slack.refused == []


async def test_in_every_workspace_its_own_bot_is_the_one_that_is_meant(start: "Start") -> None:
    async with desk(start) as bot:
        for team in ("T1", "T2"):
            await bot.install(team)
        own, other = bot.slack.oauth.bot("T2"), bot.slack.oauth.bot("T1")
        message = {"type": "message", "channel": "C1", "channel_type": "channel", "ts": "1700000001.000100"}
        await bot.happen({**message, "user": own, "text": "my own words"}, "T2")
        await bot.happen({**message, "user": "U1", "text": f"<@{other}> not for us", "ts": "1700000002.000100"}, "T2")
        await bot.happen({**message, "user": "U1", "text": f"<@{own}> for us", "ts": "1700000003.000100"}, "T2")

        await bot.answered("echo: for us")


async def test_an_installation_outlives_the_service(start: "Start") -> None:
    slack = SlackSimulator()
    async with desk(start, slack) as bot:
        await bot.install()
    async with desk(start, slack) as bot:
        await bot.say("still there", "T1", channel="D1")
        await bot.answered("echo: still there")


async def test_a_token_that_has_expired_is_refreshed_and_the_reply_is_sent_once(start: "Start") -> None:
    slack = SlackSimulator()
    slack.oauth.rotation = True
    async with desk(start, slack) as bot:
        await bot.install()
        grant = slack.oauth.grants["T1"]
        grant.access = dict.fromkeys(grant.access, 0.0)
        await bot.say("in time", "T1", channel="D1")
        await bot.answered("echo: in time")

        assert slack.oauth.exchanged == ["authorization_code", "refresh_token"]
        assert slack.refused == ["chat.postMessage: token_expired"]


async def test_a_workspace_that_uninstalls_is_dropped_and_the_others_go_on(start: "Start", logs: io.StringIO) -> None:
    async def held() -> bool:
        return "not installed in the workspace T1" in logs.getvalue()

    async with desk(start) as bot:
        for team in ("T1", "T2"):
            await bot.install(team)
        await bot.happen({"type": "app_uninstalled"}, "T1")
        await bot.say("too late", "T1", channel="D1")
        await bot.site.until(held)
        await bot.say("two", "T2", channel="D2")
        await bot.answered("echo: two")

        context = bot.site.house.context
        account = context.accounts.get("bench")
        assert account
        assert set(await context.installer.installations(account)) == {"T2"}
        assert set(context.accounts.known(account).workspaces) == {"T2"}
        assert await context.reader.paused() == {}


async def test_an_operator_sees_the_installations_and_ends_one(start: "Start") -> None:
    slack = SlackSimulator()
    slack.oauth.rotation = True
    async with desk(start, slack) as bot:
        for team in ("T1", "T2"):
            await bot.install(team)
        listed = await command(bot, "installations")
        ended = await command(bot, "uninstall", "bench", "T1")
        again = await command(bot, "uninstall", "bench", "T1")

        assert [line.split()[:2] for line in listed.splitlines()] == [["bench", "T1"], ["bench", "T2"]]
        assert ended == "bench is not installed in T1 any more.\n"
        assert again == ""
        assert list(slack.oauth.grants) == ["T2"]
        assert [row["workspace"] for row in await bot.site.ask("installations")] == ["T2"]


async def command(bot: Desk, *words: str) -> str:
    """Run a command beside the running service; returns what it printed."""
    place = ["--data", str(bot.site.folder), "--config", str(bot.site.folder / "dragoman.toml")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dragoman", *words, *place),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    return printed.decode()


async def test_an_installation_whose_refresh_token_is_dead_says_so(start: "Start") -> None:
    slack = SlackSimulator()
    slack.oauth.rotation = True
    async with desk(start, slack) as bot:
        await bot.install()
        grant = slack.oauth.grants["T1"]
        grant.access, grant.refresh = dict.fromkeys(grant.access, 0.0), "another"
        await bot.say("held", "T1", channel="D1")

        async def trouble() -> str:
            return str((await bot.site.ask("installations"))[0]["trouble"])

        assert await bot.site.until(trouble) == "invalid_refresh_token"
        assert await bot.site.house.context.reader.paused() == {}


@pytest.mark.parametrize(
    ("inner", "left"),
    [
        ({"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": ["U0BOTOFT1"]}}, set()),
        ({"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": []}}, {"T1"}),
        ({"type": "tokens_revoked"}, {"T1"}),
    ],
    ids=["the bot's", "a person's", "nobody's"],
)
async def test_revoked_tokens_end_an_installation_when_they_are_the_bots(
    start: "Start", inner: dict[str, Any], left: set[str]
) -> None:
    async with desk(start) as bot:
        await bot.install()
        await bot.happen(inner, "T1")
        account = bot.site.house.context.accounts.get("bench")
        assert account

        assert set(await bot.site.house.context.installer.installations(account)) == left


async def test_a_late_report_of_the_end_does_not_drop_a_later_installation(start: "Start") -> None:
    async with desk(start) as bot:
        await bot.install()
        clock = bot.slack.clock
        bot.slack.clock = lambda: clock() - 60
        await bot.happen({"type": "app_uninstalled"}, "T1")
        bot.slack.clock = clock
        await bot.say("here", "T1", channel="D1")

        await bot.answered("echo: here")


@pytest.mark.parametrize("path", ["/oauth/nobody/install", "/oauth/web/install", "/oauth/web/callback", "/oauth/bench"])
async def test_there_is_nothing_to_install_for_other_accounts(start: "Start", path: str) -> None:
    async with desk(start) as bot:
        assert (await bot.site.get(path, **KEY)).status == 404


async def test_the_link_asks_for_the_chat_token_and_turns_it_into_a_cookie(start: "Start") -> None:
    async with desk(start) as bot:
        without, wrong = await bot.open("install"), await bot.open("install", token="a wrong one")
        right = await bot.open("install", token=TOKEN)

        assert (without.status, wrong.status, right.status) == (401, 401, 303)
        assert right.headers["location"] == f"{PUBLIC}/oauth/bench/install"
        assert right.cookies["dragoman_key"].value == TOKEN
        assert TOKEN not in without.text + wrong.text
        assert (await bot.site.get("/oauth/bench/install", **KEY)).status == 303


async def test_an_account_may_let_everyone_install(start: "Start") -> None:
    async with desk(start, public_install=True) as bot:
        assert (await bot.open("install")).headers["location"].startswith(bot.slack.url)


async def test_the_person_is_sent_to_slack_with_what_it_wants(start: "Start") -> None:
    async with desk(start, scopes=["chat:write", "im:history"]) as bot:
        answer = await bot.site.get("/oauth/bench/install", **KEY)
        query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        cookie = answer.cookies[COOKIE]

        assert answer.headers["location"].startswith(f"{bot.slack.url}/oauth/v2/authorize?")
        assert len(query.pop("state")) == 43
        assert query == {
            "response_type": "code",
            "client_id": bot.slack.oauth.client_id,
            "redirect_uri": CALLBACK,
            "scope": "chat:write,im:history",
        }
        assert (cookie["path"], cookie["secure"], cookie["httponly"]) == ("/", True, True)
        assert (cookie["samesite"], cookie["domain"]) == ("lax", "")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "spoiled",
    [{"state": "x" * 43}, {"state": ""}, {"code": ""}, {"error": "access_denied"}, {"state": "s" * 2001}],
    ids=["another state", "no state", "no code", "code and error", "endless"],
)
async def test_a_callback_that_does_not_fit_installs_nothing_and_quotes_nothing(
    start: "Start", spoiled: dict[str, str]
) -> None:
    async with desk(start) as bot:
        url, cookie = await bot.begin()
        answer = await bot.open("callback", cookie=cookie, **{**bot.allow(url), **spoiled})

        assert answer.status == 400
        assert "Open the link again" in answer.text
        assert bot.slack.oauth.exchanged == []


async def test_a_callback_in_another_browser_installs_nothing(start: "Start") -> None:
    async with desk(start) as bot:
        url, _ = await bot.begin()
        _, others = await bot.begin()
        came = bot.allow(url)

        assert [(await bot.open("callback", cookie=cookie, **came)).status for cookie in ("", others)] == [400, 400]
        assert bot.slack.oauth.exchanged == []


@pytest.mark.parametrize("more", [[("state", "another")], [("error", "x"), ("error", "y")]], ids=["state", "error"])
async def test_a_parameter_that_comes_twice_is_refused(start: "Start", more: list[tuple[str, str]]) -> None:
    async with desk(start) as bot:
        url, cookie = await bot.begin()
        query = urlencode([*bot.allow(url).items(), *more])
        answer = await bot.site.request("GET", f"/oauth/bench/callback?{query}", headers={"cookie": cookie})

        assert answer.status == 400


async def test_the_same_callback_again_is_refused(start: "Start") -> None:
    async with desk(start) as bot:
        url, cookie = await bot.begin()
        came = bot.allow(url)
        statuses = [(await bot.open("callback", cookie=cookie, **came)).status for _ in range(2)]

        assert statuses == [200, 400]
        assert bot.slack.oauth.exchanged == ["authorization_code"]


async def test_who_declines_is_told_so(start: "Start") -> None:
    async with desk(start) as bot:
        url, cookie = await bot.begin()
        bot.slack.oauth.declines = True
        answer = await bot.open("callback", cookie=cookie, **bot.allow(url))

        assert (answer.status, "You did not allow it" in answer.text) == (403, True)


async def test_a_platform_in_trouble_is_told_from_one_that_refuses(start: "Start") -> None:
    async with desk(start) as bot:
        url, cookie = await bot.begin()
        bot.slack.fail(Fault(method="oauth.v2.access", status=500))
        trouble = await bot.open("callback", cookie=cookie, **bot.allow(url))
        url, cookie = await bot.begin()
        refused = await bot.open("callback", cookie=cookie, **{**bot.allow(url), "code": "an invented one"})

        assert (trouble.status, "in some minutes" in trouble.text) == (503, True)
        assert (refused.status, "The platform refused" in refused.text) == (400, True)


async def test_the_pages_run_nothing_and_are_kept_nowhere(start: "Start") -> None:
    async with desk(start) as bot:
        spoiled = "<script>alert(1)</script>"
        pages = [
            await bot.open("install"),
            await bot.open("callback", state=spoiled, code=spoiled),
            await bot.open("callback", state=spoiled, error=spoiled),
            await bot.install(),
        ]
        for page in pages:
            assert "script" not in page.text
            assert page.headers["content-security-policy"].startswith("default-src 'none'")
            assert page.headers["referrer-policy"] == "no-referrer"
            assert page.headers["x-content-type-options"] == "nosniff"
            assert page.headers["cache-control"] == "no-store"


async def test_another_host_name_opens_neither_page(start: "Start") -> None:
    async with desk(start) as bot:
        headers = {**KEY, "host": "elsewhere.example.org"}
        for page in ("install", "callback"):
            assert (await bot.site.request("GET", f"/oauth/bench/{page}", headers=headers)).status == 403


async def test_without_a_public_address_nothing_is_begun(start: "Start") -> None:
    slack = SlackSimulator()
    async with serve(slack) as url, start({"bench": {"platform": "slack", **slack.install_settings(url)}}) as site:
        answer = await site.get("/oauth/bench/install")

        assert (answer.status, "public_url" in answer.text) == (503, True)
