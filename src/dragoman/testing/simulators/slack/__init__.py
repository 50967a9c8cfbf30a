"""Slack, simulated: signs its requests, and its Web API refuses what the real one refuses.

It is stricter in one thing: an argument that a method does not document is refused, not overlooked.
Source: docs.slack.dev, the page of each method, "Rate limits", "Block Kit", "Handling user interaction".
"""

import dataclasses
import itertools
import math
import re
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman import crypto, wire
from dragoman.testing.simulator import Simulator
from dragoman.testing.simulators.slack import rules
from dragoman.testing.simulators.slack.links import Links
from dragoman.testing.simulators.slack.oauth import AuthorizationServer
from dragoman.testing.simulators.slack.rules import Refusal
from dragoman.wire import Http, Response

TEAM: Final = "T0SIMULATED"
APP: Final = "A0SIMULATED"
BOT: Final = "U0SIMULATEDBOT"
BOT_ID: Final = "B0SIMULATED"
PERSON: Final = "U0PERSON"
DIRECT: Final = "D0DIRECT"

SCOPES: Final = "chat:write,files:read,files:write,reactions:write"

MAX_ANSWERS: Final = 5
ANSWER_SECONDS: Final = 1800.0

BESIDE: Final = {
    "upload": "files.upload",
    "files-pri": "files.download",
    "commands": "response_url",
    "oauth": "oauth.authorize",
}
"""What is no method of the Web API, by the beginning of its path."""


@dataclasses.dataclass(kw_only=True)
class StoredFile:
    """A file on its way in, or there."""

    id: str
    name: str
    length: int
    mime: str = "application/octet-stream"
    content: bytes | None = None
    shared: bool = False


@dataclasses.dataclass(kw_only=True)
class ResponseUrl:
    """Where a command may be answered: how often it was, and since when it can be."""

    channel: str
    since: float
    answers: int = 0


class SlackSimulator(Simulator):
    """Slack's Web API with one workspace, and the maker of its requests to us."""

    platform: ClassVar[str] = "slack"

    def __init__(
        self,
        *,
        signing_secret: str = "simulated-signing-secret",  # noqa: S107 - invented, it opens nothing
        bot_token: str = "xoxb-simulated",  # noqa: S107 - invented, it opens nothing
        app_token: str = "xapp-simulated",  # noqa: S107 - invented, it opens nothing
        per_channel: tuple[int, float] = (20, 1.0),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start an empty workspace; `per_channel` is how many messages a channel takes in how many seconds.

        `unavailable` may be given channels with the error that posting there is refused with.
        """
        super().__init__(clock=clock)
        self.url = "http://slack.invalid"
        self.unavailable: dict[str, str] = {}
        self.messages: dict[tuple[str, str], str] = {}
        self.files: dict[str, StoredFile] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self._signing_secret = signing_secret
        self._bot_token = bot_token
        self._app_token = app_token
        self.links = Links(clock, self.refuse, APP)
        """Its Socket Mode."""
        self.oauth = AuthorizationServer(clock, APP, TEAM, BOT)
        """Where workspaces install the app."""
        self.served: list[tuple[str, str]] = []
        """Methods that were called, and by the token of which workspace."""
        self._per_channel = per_channel
        self._reactions: set[tuple[str, str, str]] = set()
        self._numbers = itertools.count(1)
        self._last = 0
        self._fill()

    def _fill(self) -> None:
        """Say who answers which method."""
        self._beside = {
            "files.upload": self._receive,
            "files.download": self._download,
            "response_url": self._respond,
            "oauth.authorize": self.oauth.authorize,
            "oauth.v2.access": self.oauth.access,
        }
        self._methods = {
            "apps.connections.open": self._open_connection,
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "reactions.add": self._react,
            "files.getUploadURLExternal": self._get_upload_url,
            "files.completeUploadExternal": self._complete_upload,
            "files.info": self._file_info,
        }

    # What Slack sends us

    def settings(self, url: str) -> dict[str, str]:
        """Return the account settings that fit this simulator, served at `url`."""
        self.url = url.rstrip("/")
        return {
            "signing_secret": self._signing_secret,
            "bot_token": self._bot_token,
            "api_base": f"{self.url}/api",
        }

    def socket_settings(self, url: str) -> dict[str, str]:
        """Return the settings of an account that receives by Socket Mode."""
        settings = {**self.settings(url), "app_token": self._app_token}
        del settings["signing_secret"]
        return settings

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket of Socket Mode."""
        await self.links.serve(scope, receive, send)

    def install_settings(self, url: str) -> dict[str, str]:
        """Return the settings of an account whose app workspaces install."""
        settings = {**self.settings(url), "client_id": self.oauth.client_id, "client_secret": self.oauth.client_secret}
        del settings["bot_token"]
        return settings

    def webhook(self, text: str, *, sender: str = "", channel: str = "", thread: str = "", team: str = TEAM) -> Http:
        """Return a person's new message: in a direct chat, or in a channel with a mention of the bot."""
        channel = channel or DIRECT
        written = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if not channel.startswith("D"):
            written = f"<@{self.oauth.bot(team)}> {written}"
        return self.event(self._message(written, sender or PERSON, channel, thread), team=team)

    def shared(self, name: str, content: bytes, *, mime: str, text: str = "", channel: str = "") -> Http:
        """Return a person's message that shares a file, which can then be downloaded."""
        file = StoredFile(id=f"F{next(self._numbers)}", name=name, length=len(content), mime=mime, content=content)
        self.files[file.id] = file
        message = self._message(text, PERSON, channel or DIRECT, "")
        return self.event({**message, "subtype": "file_share", "files": [self._described(file)]})

    def slash(self, command: str, text: str = "", *, sender: str = "", channel: str = "") -> Http:
        """Return a slash command, with a response URL that is good for five answers in half an hour."""
        fields = {
            "team_id": TEAM,
            "channel_id": channel or DIRECT,
            "user_id": sender or PERSON,
            "user_name": "person",
            "command": command,
            "text": text,
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "response_url": self._response_url(channel or DIRECT),
            "trigger_id": self._trigger(),
        }
        return self.signed(urlencode(fields).encode(), rules.FORM)

    def button(self, action_id: str, value: str, *, sender: str = "", channel: str = "", message_ts: str = "") -> Http:
        """Return a person's pressing of a button under one of the bot's messages."""
        channel = channel or DIRECT
        ts = message_ts or self._next_ts()
        interaction = {
            "type": "block_actions",
            "user": {"id": sender or PERSON, "username": "person", "name": "person", "team_id": TEAM},
            "api_app_id": APP,
            "team": {"id": TEAM, "domain": "simulated"},
            "channel": {"id": channel, "name": "simulated"},
            "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
            "trigger_id": self._trigger(),
            "response_url": self._response_url(channel),
            "actions": [{"type": "button", "block_id": "b1", "action_id": action_id, "value": value, "action_ts": ts}],
        }
        payload = msgspec.json.encode(interaction).decode()
        return self.signed(urlencode({"payload": payload}).encode(), rules.FORM)

    def event(self, inner: dict[str, Any], *, team: str = TEAM) -> Http:
        """Return an inner event in a signed envelope with a fresh id."""
        bot = {"team_id": team, "user_id": self.oauth.bot(team), "is_bot": True, "is_enterprise_install": False}
        envelope = {
            "type": "event_callback",
            "team_id": team,
            "api_app_id": APP,
            "event_id": f"Ev{next(self._numbers):09d}",
            "event_time": int(self.clock()),
            "authorizations": [bot],
            "event": inner,
        }
        return self.signed(msgspec.json.encode(envelope), "application/json")

    def signed(self, body: bytes, content_type: str) -> Http:
        """Sign a body as Slack does, with the present time."""
        timestamp = str(int(self.clock()))
        signature = crypto.hmac_sha256_hex(self._signing_secret, b"v0:", timestamp.encode(), b":", body)
        headers = {
            "content-type": content_type,
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": f"v0={signature}",
        }
        return Http(method="POST", headers=headers, body=body)

    def _message(self, text: str, sender: str, channel: str, thread: str) -> dict[str, Any]:
        ts = self._next_ts()
        self.messages[channel, ts] = sender
        message = {
            "type": "message",
            "user": sender,
            "text": text,
            "ts": ts,
            "event_ts": ts,
            "team": TEAM,
            "channel": channel,
            "channel_type": "im" if channel.startswith("D") else "channel",
        }
        return {**message, "thread_ts": thread} if thread else message

    def _next_ts(self) -> str:
        """Return a timestamp of microseconds that was never given before."""
        self._last = max(self._last + 1, int(self.clock() * 1_000_000))
        seconds, micro = divmod(self._last, 1_000_000)
        return f"{seconds}.{micro:06d}"

    def _trigger(self) -> str:
        return f"{next(self._numbers)}.{next(self._numbers)}.simulated"

    def _response_url(self, channel: str) -> str:
        ticket = f"{next(self._numbers)}"
        self.response_urls[ticket] = ResponseUrl(channel=channel, since=self.clock())
        return f"{self.url}/commands/{TEAM}/{ticket}"

    def _described(self, file: StoredFile) -> dict[str, Any]:
        address = f"{self.url}/files-pri/{TEAM}-{file.id}"
        return {
            "id": file.id,
            "name": file.name,
            "title": file.name,
            "mimetype": file.mime,
            "size": file.length,
            "mode": "hosted",
            "url_private": f"{address}/{file.name}",
            "url_private_download": f"{address}/download/{file.name}",
        }

    # What we ask of Slack

    def method_of(self, request: Http) -> str:
        """Name the method; what lies beside the Web API has a name too (for faults and the record)."""
        path = urlsplit(request.url).path.strip("/")
        return BESIDE.get(path.partition("/")[0], path.rpartition("/")[2])

    def handle(self, request: Http) -> Response:
        """Answer one call as Slack would."""
        name = self.method_of(request)
        try:
            beside = self._beside.get(name)
            return beside(request) if beside else self._call(name, request)
        except Refusal as refusal:
            self.refuse(f"{name}: {refusal.error}")
            return wire.json_response({"ok": False, "error": refusal.error}, refusal.status, refusal.headers)

    def _call(self, name: str, request: Http) -> Response:
        method = rules.METHODS.get(name)
        if method is None or request.method != "POST":
            raise Refusal("unknown_method")
        token = self._authenticate(request, self._app_token if name == "apps.connections.open" else self._bot_token)
        arguments = rules.form_arguments(request) if method.form else rules.json_arguments(request)
        rules.check_arguments(method, arguments)
        if name == "auth.revoke":
            return self.oauth.revoke(token)
        return self._methods[name](arguments)

    def _authenticate(self, request: Http, token: str) -> str:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not given:
            raise Refusal("not_authed")
        if given != token:
            if given in {self._app_token, self._bot_token}:
                raise Refusal("not_allowed_token_type")
            self.served.append((self.method_of(request), self.oauth.team_of(given)))
        return given

    def _open_connection(self, _: dict[str, Any]) -> Response:
        address = self.url.replace("http", "ws", 1)
        return wire.json_response({"ok": True, "url": f"{address}/link/?ticket={self.links.ticket()}&app_id={APP}"})

    def _auth_test(self, _: dict[str, Any]) -> Response:
        who = {"url": self.url, "team": "Simulated", "team_id": TEAM, "user": "dragoman", "user_id": BOT}
        return wire.json_response({"ok": True, **who, "bot_id": BOT_ID}, headers={"x-oauth-scopes": SCOPES})

    def _post_message(self, arguments: dict[str, Any]) -> Response:
        channel = self._open(arguments["channel"])
        rules.check_content(arguments)
        rules.check_thread(arguments)
        count, seconds = self._per_channel
        if wait := self.exceeded(f"chat.postMessage:{channel}", count, seconds):
            raise Refusal("ratelimited", 429, retry_after=str(math.ceil(wait)))
        ts = self._next_ts()
        self.messages[channel, ts] = BOT
        text = arguments.get("text", "")
        self.accept("chat.postMessage", channel, text=text, id=ts, body=arguments)
        message = {"type": "message", "user": BOT, "bot_id": BOT_ID, "text": text, "ts": ts}
        return wire.json_response({"ok": True, "channel": channel, "ts": ts, "message": message})

    def _update(self, arguments: dict[str, Any]) -> Response:
        channel, ts = self._own(arguments, "cant_update_message")
        rules.check_content(arguments)
        self.accept("chat.update", channel, text=arguments.get("text", ""), id=ts, body=arguments)
        return wire.json_response({"ok": True, "channel": channel, "ts": ts, "text": arguments.get("text", "")})

    def _delete(self, arguments: dict[str, Any]) -> Response:
        channel, ts = self._own(arguments, "cant_delete_message")
        del self.messages[channel, ts]
        self.accept("chat.delete", channel, id=ts, body=arguments)
        return wire.json_response({"ok": True, "channel": channel, "ts": ts})

    def _react(self, arguments: dict[str, Any]) -> Response:
        channel, ts, name = self._open(arguments["channel"]), arguments["timestamp"], arguments["name"]
        if not re.fullmatch(r"[a-z0-9_'+-]+", name):
            raise Refusal("invalid_name")
        if (channel, ts) not in self.messages:
            raise Refusal("message_not_found")
        if (channel, ts, name) in self._reactions:
            raise Refusal("already_reacted")
        self._reactions.add((channel, ts, name))
        self.accept("reactions.add", channel, text=name, id=ts, body=arguments)
        return wire.json_response({"ok": True})

    def _open(self, channel: str) -> str:
        """Return a channel that the bot may write to."""
        if channel[:1] not in {"C", "D", "G"}:
            raise Refusal("channel_not_found")
        if error := self.unavailable.get(channel):
            raise Refusal(error)
        return channel

    def _own(self, arguments: dict[str, Any], foreign: str) -> tuple[str, str]:
        """Return the place of a message that the bot itself wrote."""
        channel, ts = self._open(arguments["channel"]), arguments["ts"]
        author = self.messages.get((channel, ts))
        if author is None:
            raise Refusal("message_not_found")
        if author != BOT:
            raise Refusal(foreign)
        return channel, ts

    # Files

    def _get_upload_url(self, arguments: dict[str, Any]) -> Response:
        length = arguments["length"]
        if not (length.isdigit() and int(length)) or not arguments["filename"]:
            raise Refusal("invalid_arguments")
        file = StoredFile(id=f"F{next(self._numbers)}", name=arguments["filename"], length=int(length))
        self.files[file.id] = file
        return wire.json_response({"ok": True, "upload_url": f"{self.url}/upload/v1/{file.id}", "file_id": file.id})

    def _receive(self, request: Http) -> Response:
        """Take the bytes of a file: once, and as many as were announced."""
        file = self.files.get(urlsplit(request.url).path.rpartition("/")[2])
        if file is None or file.content is not None or len(request.body) != file.length:
            raise Refusal("spent_url_or_wrong_length", 400)
        file.content = request.body
        return wire.text_response(f"OK - {file.length}")

    def _complete_upload(self, arguments: dict[str, Any]) -> Response:
        channel = self._open(arguments.get("channel_id", ""))
        rules.check_thread(arguments)
        files = [self._uploaded(entry) for entry in arguments["files"]]
        if not files:
            raise Refusal("invalid_arguments")
        for file in files:
            file.shared = True
        ids = [file.id for file in files]
        comment = arguments.get("initial_comment", "")
        self.accept("files.completeUploadExternal", channel, text=comment, id=",".join(ids), body=arguments)
        return wire.json_response({"ok": True, "files": [{"id": file.id, "title": file.name} for file in files]})

    def _uploaded(self, entry: dict[str, Any]) -> StoredFile:
        file = self.files.get(entry.get("id", ""))
        if file is None or file.content is None or file.shared:
            raise Refusal("file_not_found")
        return file

    def _file_info(self, arguments: dict[str, Any]) -> Response:
        file = self.files.get(arguments["file"])
        if file is None:
            raise Refusal("file_not_found")
        return wire.json_response({"ok": True, "file": self._described(file)})

    def _download(self, request: Http) -> Response:
        """Hand out a file; who has no right to it gets a login page, with status 200."""
        found = re.match(r"/files-pri/[^/-]+-([^/]+)/", urlsplit(request.url).path)
        file = self.files.get(found[1]) if found else None
        if file is None or file.content is None:
            raise Refusal("file_not_found", 404)
        if request.headers.get("authorization", "") != f"Bearer {self._bot_token}":
            self.refuse("files.download: not authorised")
            return Response(headers={"content-type": "text/html; charset=utf-8"}, body=b"<title>Sign in</title>")
        return Response(headers={"content-type": file.mime}, body=file.content)

    # Answers to commands

    def _respond(self, request: Http) -> Response:
        """Take an answer to a command: at most five, in half an hour, and without our token."""
        ticket = self.response_urls.get(urlsplit(request.url).path.rpartition("/")[2])
        if ticket is None or self.clock() - ticket.since > ANSWER_SECONDS:
            raise Refusal("expired_url", 404)
        if ticket.answers >= MAX_ANSWERS:
            raise Refusal("used_url", 404)
        if "authorization" in request.headers:
            raise Refusal("token_leaked")
        arguments = rules.json_arguments(request)
        rules.check_arguments(rules.RESPONSE_URL, arguments)
        rules.check_content(arguments)
        ticket.answers += 1
        self.accept("response_url", ticket.channel, text=arguments.get("text", ""), body=arguments)
        return wire.text_response("ok")
