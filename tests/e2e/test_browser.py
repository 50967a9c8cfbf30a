"""The chat page in a real browser: what a person types arrives once, is answered once, and is never run as code."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from dragoman.testing.process import Service

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Dialog

CHROMIUM: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""
RECONNECTING: Final = 25_000
"""Milliseconds in which a page has come back to a service that was away for a moment."""

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
    pytest.mark.asyncio(loop_scope="module"),
]


class Chat:
    """The chat page as a person sees it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.on("dialog", self._refuse)

    def _note(self, message: "ConsoleMessage") -> None:
        if message.type == "error":
            self.errors.append(message.text)

    async def _refuse(self, dialog: "Dialog") -> None:
        self.errors.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    async def open(self, path: str = "/chat") -> "Chat":
        await self.page.goto(self.url + path)
        await self.is_connected()
        return self

    async def is_connected(self) -> None:
        await expect(self.page.get_by_role("status")).to_have_text("connected", timeout=RECONNECTING)

    async def say(self, words: str) -> None:
        await self.page.get_by_label("Message").fill(words)
        await self.page.get_by_role("button", name="Send").click()

    async def shows(self, *lines: str) -> None:
        """Expect exactly these lines, in this order, each accepted."""
        await expect(self.page.locator(".line")).to_have_text(lines, timeout=10_000)
        await expect(self.page.locator(".pending")).to_have_count(0)
        await expect(self.page.locator(".failed")).to_have_count(0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One program for all: it keeps nothing from one test's context to another's."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of its own, as the bot sees it: without cookies, so with a new conversation."""
    async with await browser.new_context(locale="en-GB", timezone_id="Europe/Berlin") as opened:
        await opened.add_init_script(WATCH)
        yield opened


@contextlib.asynccontextmanager
async def bot(folder: Path) -> AsyncIterator[Service]:
    """Start the bot as it comes, on a port and a data folder that stay the same over a restart."""
    running = Service(folder, 'plugins = ["rules", "echo"]\n')
    await running.start()
    yield running
    await running.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A bot for all who do not stop it: each test is another person to it."""
    async with bot(tmp_path_factory.mktemp("standing")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A bot for one test, which may stop it."""
    async with bot(tmp_path / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def chat(context: BrowserContext, standing: Service) -> Chat:
    return await Chat(await context.new_page(), standing.url).open()


@pytest_asyncio.fixture(loop_scope="module")
async def fragile(context: BrowserContext, service: Service) -> Chat:
    """The chat page of the bot that a test has alone."""
    return await Chat(await context.new_page(), service.url).open()


async def test_what_is_typed_is_answered(chat: Chat) -> None:
    await chat.say("something")

    await chat.shows("something", "echo: something")
    assert chat.errors == []


async def test_several_messages_are_answered_in_order(chat: Chat) -> None:
    for word in ("one", "two", "three"):
        await chat.say(word)

    await expect(chat.page.locator(".line.bot")).to_have_text(["echo: one", "echo: two", "echo: three"])
    await expect(chat.page.locator(".line.person")).to_have_text(["one", "two", "three"])


async def test_the_time_is_that_of_the_browser_s_zone(chat: Chat) -> None:
    await chat.say("time")

    await expect(chat.page.locator(".line.bot")).to_contain_text("(Europe/Berlin)")


async def test_chinese_is_answered_in_chinese(chat: Chat) -> None:
    await chat.say("你是谁")

    await expect(chat.page.locator(".line.bot")).to_contain_text("我是 Dragoman")


TWICE: Final = """() => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (frame) { send.call(this, frame); send.call(this, frame); };
}"""


async def test_a_line_that_was_sent_twice_is_accepted_twice_and_stays(chat: Chat) -> None:
    await chat.page.evaluate(TWICE)

    await chat.say("once")
    await chat.shows("once", "echo: once")
    await chat.say("then")

    await chat.shows("once", "echo: once", "then", "echo: then")


async def test_the_answer_s_markup_is_shown_as_markup(chat: Chat) -> None:
    await chat.say("**bold** and `code`")

    await expect(chat.page.locator(".line.bot strong")).to_have_text("bold")
    await expect(chat.page.locator(".line.bot code")).to_have_text("code")
    await expect(chat.page.locator(".line.person")).to_have_text("**bold** and `code`")


@pytest.mark.parametrize(
    "words",
    [
        "<img src=x onerror='window.canary=1'>",
        "<script>window.canary=1</script>",
        "<svg onload=window.canary=1>",
        "<iframe srcdoc='<script>parent.canary=1</script>'></iframe>",
        "<style>@import url(//example.org)</style>",
        "**bold** <b onmouseover='window.canary=1'>x</b>",
    ],
)
async def test_markup_that_a_person_types_is_shown_and_never_run(chat: Chat, words: str) -> None:
    await chat.say(words)
    await expect(chat.page.locator(".line.bot")).to_be_visible()
    await chat.page.reload()
    await chat.is_connected()

    await expect(chat.page.locator(".line.person")).to_have_text(words)
    await nothing_ran(chat)


@pytest.mark.parametrize(
    "words",
    [
        "[press](javascript:window.canary=1)",
        "[press](JavaScript&#58;window.canary=1)",
        "[press](data:text/html,<script>window.canary=1</script>)",
        "[press](vbscript:x)",
        "![press](javascript:window.canary=1)",
    ],
)
async def test_a_link_that_would_run_code_is_no_link(chat: Chat, words: str) -> None:
    await chat.say(words)
    await expect(chat.page.locator(".line.bot")).to_be_visible()

    addresses = await chat.page.eval_on_selector_all(".line a", "links => links.map(link => link.protocol)")
    assert set(addresses) <= {"http:", "https:", "mailto:"}
    await nothing_ran(chat)


async def nothing_ran(chat: Chat) -> None:
    assert await chat.page.evaluate("window.canary") is None
    assert await chat.page.evaluate("window.violations") == []
    assert chat.errors == []


async def test_a_link_in_an_answer_opens_without_a_hold_on_this_page(chat: Chat) -> None:
    await chat.say("[the docs](https://example.org/docs)")
    link = chat.page.locator(".line.bot a")

    await expect(link).to_have_attribute("href", "https://example.org/docs")
    assert {"noopener", "noreferrer"} <= set((await link.get_attribute("rel") or "").split())


async def test_a_message_typed_while_the_service_is_away_is_delivered_and_answered_once(
    fragile: Chat, service: Service
) -> None:
    await fragile.say("before")
    await fragile.shows("before", "echo: before")

    assert await service.stop() == 0
    await expect(fragile.page.get_by_role("status")).to_have_text("reconnecting…")
    await fragile.say("meanwhile")
    await expect(fragile.page.locator(".pending")).to_have_text("meanwhile")
    await service.start()
    await fragile.is_connected()

    await fragile.shows("before", "echo: before", "meanwhile", "echo: meanwhile")
    await fragile.page.reload()
    await fragile.shows("before", "echo: before", "meanwhile", "echo: meanwhile")


async def test_a_killed_service_loses_nothing_that_was_typed(fragile: Chat, service: Service) -> None:
    await fragile.say("one")
    await service.kill()
    await fragile.say("two")
    await service.start()
    await fragile.is_connected()

    await expect(fragile.page.locator(".line.bot")).to_have_text(["echo: one", "echo: two"], timeout=RECONNECTING)
    await fragile.page.reload()
    await fragile.shows("one", "echo: one", "two", "echo: two")


async def test_the_conversation_is_still_there_after_a_reload(chat: Chat) -> None:
    await chat.say("one")
    await chat.shows("one", "echo: one")

    await chat.page.reload()

    await chat.shows("one", "echo: one")


async def test_two_tabs_show_the_same_lines_once(chat: Chat, context: BrowserContext) -> None:
    other = await Chat(await context.new_page(), chat.url).open()

    await chat.say("one")
    await chat.shows("one", "echo: one")
    await other.shows("one", "echo: one")
    await other.say("two")

    await other.shows("one", "echo: one", "two", "echo: two")
    await chat.shows("one", "echo: one", "two", "echo: two")


async def test_another_browser_sees_nothing_of_it(chat: Chat, browser: Browser) -> None:
    await chat.say("one")
    await chat.shows("one", "echo: one")

    async with await browser.new_context() as stranger:
        other = await Chat(await stranger.new_page(), chat.url).open()
        await other.say("two")
        await other.shows("two", "echo: two")


async def test_the_buttons_of_the_help_say_what_they_show(chat: Chat) -> None:
    await chat.say("help")
    await chat.page.get_by_role("button", name="What can you do").click()

    await expect(chat.page.locator(".line.person").last).to_have_text("What can you do")
    await expect(chat.page.locator(".line.bot").last).to_contain_text("keep every one of them safe")


async def test_the_buttons_are_still_there_after_a_reload(chat: Chat) -> None:
    await chat.say("help")
    await expect(chat.page.get_by_role("button", name="Time")).to_be_visible()

    await chat.page.reload()

    await expect(chat.page.get_by_role("button", name="Time")).to_be_visible()


async def test_everything_can_be_done_by_the_keyboard(chat: Chat) -> None:
    keyboard = chat.page.keyboard

    await keyboard.type("two")
    await keyboard.press("Shift+Enter")
    await keyboard.type("lines")
    await keyboard.press("Enter")
    await expect(chat.page.locator(".line.person")).to_have_text("two\nlines", use_inner_text=True)
    await keyboard.type("help")
    await keyboard.press("Enter")
    await expect(chat.page.get_by_role("button", name="Time")).to_be_visible()
    await keyboard.press("Shift+Tab")
    await keyboard.press("Enter")

    await expect(chat.page.locator(".line.bot").last).to_contain_text("dragoman.toml")


async def test_an_empty_message_is_not_sent(chat: Chat) -> None:
    await chat.page.get_by_label("Message").press("Enter")
    await chat.say("   ")
    await chat.say("one")

    await chat.shows("one", "echo: one")


async def test_a_link_from_another_site_keeps_the_conversation(chat: Chat) -> None:
    await chat.say("one")
    await chat.shows("one", "echo: one")

    await follow_from_elsewhere(chat.page, f"{chat.url}/chat")

    await chat.shows("one", "echo: one")


async def follow_from_elsewhere(page: Page, target: str) -> None:
    """Open a page of another site that links to the target, and follow its link."""

    async def elsewhere(route: Any) -> None:
        await route.fulfill(content_type="text/html", body=f'<a href="{target}">the bot</a>')

    await page.route("http://elsewhere.example/", elsewhere)
    await page.goto("http://elsewhere.example/")
    await page.get_by_role("link").click()


async def test_the_printed_link_works_from_a_page_of_another_site(context: BrowserContext, tmp_path: Path) -> None:
    service = Service(tmp_path / "open", 'host = "0.0.0.0"\nchat_token = "of-the-link"\n')
    await service.start()
    try:
        chat = Chat(await context.new_page(), service.url)
        await follow_from_elsewhere(chat.page, f"{service.url}/chat?token=of-the-link")
        await chat.is_connected()
        await chat.say("one")
        await chat.shows("one", "echo: one")
        assert "token" not in chat.page.url
    finally:
        await service.kill()
