"""The same bot on slack-bolt: its asynchronous application with its own middleware, under uvicorn."""

import os
from typing import Any

from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

client = AsyncWebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_BASE"] + "/")
bolt = AsyncApp(client=client, signing_secret=os.environ["SLACK_SIGNING_SECRET"])
app = AsyncSlackRequestHandler(bolt, path="/hooks/bench")


@bolt.event("message")  # type: ignore[untyped-decorator]  # slack-bolt is not among the tools of development
async def echo(event: dict[str, Any], say: Any) -> None:
    """Answer by `echo: ...`."""
    await say(f"echo: {event['text']}")
