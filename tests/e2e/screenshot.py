"""Make `docs/images/chat.png`: a short conversation with the bot as it comes, in the light scheme.

Run it by hand when the page has changed: `.venv/bin/python tests/e2e/screenshot.py`.
"""

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from dragoman.testing.process import Service

CHROMIUM = Path("/usr/bin/chromium")
IMAGE = Path(__file__).parents[2] / "docs" / "images" / "chat.png"
WORDS = ("what is Dragoman?", "help")


async def converse(page: Page, url: str) -> None:
    await page.goto(f"{url}/chat")
    for count, words in enumerate(WORDS, 1):
        await page.get_by_label("Message").fill(words)
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".line.bot")).to_have_count(count)
    await page.get_by_label("Message").fill("what time is it?")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), 'plugins = ["rules", "echo"]\n')
        await service.start()
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                page = await browser.new_page(
                    viewport={"width": 900, "height": 700},
                    color_scheme="light",
                    locale="en-GB",
                    timezone_id="Europe/Berlin",
                )
                await converse(page, service.url)
                await page.screenshot(path=IMAGE)
                await browser.close()
        finally:
            await service.stop()


if __name__ == "__main__":
    asyncio.run(main())
