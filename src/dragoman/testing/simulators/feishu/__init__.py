"""Feishu, simulated: sends requests, encrypted and signed, or frames; its API refuses what the real one refuses.

It is stricter in one thing: a field that a call does not document is refused, not overlooked.
Source: open.feishu.cn, the page of each call, "Configure Encrypt Key", "Frequency control".
"""

import dataclasses
import itertools
import math
import re
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman import wire
from dragoman.testing.simulator import Simulator
from dragoman.testing.simulators.feishu import rules, seal
from dragoman.testing.simulators.feishu.gateway import Gateway, Pushed
from dragoman.testing.simulators.feishu.rules import Refusal
from dragoman.wire import Http, Response

APP: Final = "cli_simulated"
BOT: Final = "ou_simulatedbot"
PERSON: Final = "ou_person"
DIRECT: Final = "oc_direct"
TENANT: Final = "simulatedtenant"

LIFETIME: Final = 7200
HALF_HOUR: Final = 1800
"""Seconds that a token lives, and before its end at which a new one is given."""
HOUR: Final = 3600.0
"""Seconds in which a repeated `uuid` gets the first answer."""
MOST_EDITS: Final = 20

RECEIVERS: Final = {
    "chat_id": "oc_",
    "open_id": "ou_",
    "union_id": "on_",
    "user_id": "",
    "email": "",
}
"""The kinds of receivers, and how their ids begin."""

MESSAGE: Final = "/open-apis/im/v1/messages/(?P<message_id>[^/]+)"
ROUTES: Final = tuple(
    (method, re.compile(path), name)
    for method, path, name in (
        ("POST", "/callback/ws/endpoint", "endpoint"),
        ("POST", "/open-apis/auth/v3/tenant_access_token/internal", "internal"),
        ("GET", "/open-apis/bot/v3/info", "info"),
        ("POST", "/open-apis/im/v1/messages", "messages"),
        ("POST", f"{MESSAGE}/reply", "reply"),
        ("PUT", MESSAGE, "messages.edit"),
        ("PATCH", MESSAGE, "messages.patch"),
        ("DELETE", MESSAGE, "messages.delete"),
        ("POST", f"{MESSAGE}/reactions", "reactions"),
        ("GET", f"{MESSAGE}/resources/(?P<key>[^/]+)", "resources"),
        ("POST", "/open-apis/im/v1/images", "images"),
        ("POST", "/open-apis/im/v1/files", "files"),
    )
)


@dataclasses.dataclass(kw_only=True)
class Stored:
    """A message that stands in a chat."""

    chat: str
    author: str
    kind: str
    thread: str = ""
    updatable: bool = False
    edits: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resource:
    """A file of a message: under which type it is fetched, and its bytes."""

    kind: str
    mime: str
    content: bytes


class FeishuSimulator(Simulator):
    """Feishu's server API with one app in one tenant, and the maker of its requests to us."""

    platform: ClassVar[str] = "feishu"

    def __init__(
        self,
        *,
        app_secret: str = "simulated-app-secret",  # noqa: S107 - invented, it opens nothing
        verification_token: str = "simulated-verification-token",  # noqa: S107 - invented, it opens nothing
        encrypt_key: str = "simulated-encrypt-key",
        per_chat: tuple[int, float] = (5, 1.0),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start an empty tenant; `per_chat` is how many messages a chat takes in how many seconds.

        `unavailable` may be given chats with the code that writing there is refused with.
        """
        super().__init__(clock=clock)
        self.unavailable: dict[str, int] = {}
        self.messages: dict[str, Stored] = {}
        self.recalled: set[str] = set()
        self.uploads: dict[str, rules.Upload] = {}
        self.resources: dict[tuple[str, str], Resource] = {}
        self.gateway = Gateway((APP, app_secret), self.refused)
        self._app_secret = app_secret
        self._verification_token = verification_token
        self._encrypt_key = encrypt_key
        self._per_chat = per_chat
        self._tokens: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._calls: dict[str, Callable[..., dict[str, Any] | Response]] = {
            "info": self._bot_info,
            "messages": self._post,
            "reply": self._reply,
            "messages.edit": self._edit,
            "messages.patch": self._patch,
            "messages.delete": self._delete,
            "reactions": self._react,
            "resources": self._download,
            "images": self._take_image,
            "files": self._take_file,
        }

    # What Feishu sends us

    def settings(self, url: str) -> dict[str, str]:
        """Return the account settings that fit this simulator, served at `url`."""
        return {
            "app_id": APP,
            "app_secret": self._app_secret,
            "verification_token": self._verification_token,
            "encrypt_key": self._encrypt_key,
            "bot_open_id": BOT,
            "api_base": url.rstrip("/"),
        }

    def socket_settings(self, url: str) -> dict[str, str]:
        """Return the settings of an account that receives by its long connection."""
        needless = {"verification_token", "encrypt_key"}
        given = {name: value for name, value in self.settings(url).items() if name not in needless}
        return {**given, "receive": "socket"}

    def push(self, request: Http, kind: str = "event") -> Pushed:
        """Send what would be a request by the long connection: there nothing is encrypted, and nothing signed."""
        return self.gateway.push(seal.opened(request.body, self._encrypt_key), kind)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one long connection."""
        await self.gateway.serve(scope, receive, send)

    def webhook(self, text: str, *, sender: str = "", channel: str = "", thread: str = "") -> Http:
        """Return a person's new message in a direct chat."""
        return self.message("text", {"text": text}, sender=sender, channel=channel, thread_id=thread)

    def asked(self, text: str, *, sender: str = "", channel: str = "oc_group", thread: str = "") -> Http:
        """Return a person's new message in a group, which mentions the bot."""
        named = [{"key": "@_user_1", "id": {"open_id": BOT}, "name": "Dragoman", "tenant_key": TENANT}]
        facts: dict[str, Any] = {"chat_type": "group", "mentions": named, "thread_id": thread}
        return self.message("text", {"text": f"@_user_1 {text}"}, sender=sender, channel=channel, **facts)

    def shared(self, name: str, content: bytes, *, mime: str, text: str = "", channel: str = "") -> Http:
        """Return a person's message that is a picture or a file, which can then be downloaded.

        Only rich text has words beside it, and takes what is no picture for a video.
        """
        kind, tag = ("image", "img") if mime.startswith("image/") else ("file", "media")
        message_id, key = self._id("om"), self._id(kind)
        self.resources[message_id, key] = Resource(kind=kind, mime=mime, content=content)
        place = {"channel": channel, "message_id": message_id}
        if text:
            paragraphs = [[{"tag": "text", "text": text}], [{"tag": tag, f"{kind}_key": key}]]
            return self.message("post", {"title": "", "content": paragraphs}, **place)
        return self.message(kind, {f"{kind}_key": key, **({"file_name": name} if kind == "file" else {})}, **place)

    def message(
        self,
        kind: str,
        said: dict[str, Any],
        *,
        sender: str = "",
        channel: str = "",
        message_id: str = "",
        **facts: Any,
    ) -> Http:
        """Return a person's new message of any type; `facts` are its further fields, empty ones are left out."""
        author, chat, message_id = sender or PERSON, channel or DIRECT, message_id or self._id("om")
        self.messages[message_id] = Stored(chat=chat, author=author, kind=kind, thread=facts.get("thread_id", ""))
        message = {
            "message_id": message_id,
            "create_time": str(int(self.clock() * 1000)),
            "chat_id": chat,
            "chat_type": "p2p",
            "message_type": kind,
            "content": msgspec.json.encode(said).decode(),
            **{name: value for name, value in facts.items() if value},
        }
        who = {"sender_id": {"open_id": author}, "sender_type": "user", "tenant_key": TENANT}
        return self.event("im.message.receive_v1", {"sender": who, "message": message})

    def pressed(self, value: Any, *, sender: str = "", channel: str = "", message_id: str = "") -> Http:
        """Return a person's pressing of a button of a card."""
        context = {"open_message_id": message_id or self._id("om"), "open_chat_id": channel or DIRECT}
        return self.event(
            "card.action.trigger",
            {
                "operator": {"open_id": sender or PERSON, "tenant_key": TENANT},
                "token": self._id("c"),
                "action": {"tag": "button", "value": value},
                "host": "im_message",
                "context": context,
            },
        )

    def recall(self, message_id: str) -> Http:
        """Take a message back, and return the event about it."""
        stored = self.messages.pop(message_id)
        self.recalled.add(message_id)
        when = str(int(self.clock() * 1000))
        facts = {"message_id": message_id, "chat_id": stored.chat, "recall_time": when, "recall_type": "message_owner"}
        return self.event("im.message.recalled_v1", facts)

    def handshake(self, challenge: str = "a-challenge") -> Http:
        """Return the question whether the request URL is ours: encrypted, but not signed."""
        question = {"challenge": challenge, "token": self._verification_token, "type": "url_verification"}
        return seal.unsigned(seal.encrypted(msgspec.json.encode(question), self._encrypt_key))

    def event(self, kind: str, event: dict[str, Any]) -> Http:
        """Return an event of any type in a v2 envelope with a fresh id, encrypted and signed."""
        header = {
            "event_id": self._id("evt"),
            "event_type": kind,
            "create_time": str(int(self.clock() * 1000)),
            "token": self._verification_token,
            "app_id": APP,
            "tenant_key": TENANT,
        }
        return self.sealed({"schema": "2.0", "header": header, "event": event})

    def sealed(self, envelope: dict[str, Any]) -> Http:
        """Encrypt and sign an envelope as Feishu does, with the present time."""
        body = seal.encrypted(msgspec.json.encode(envelope), self._encrypt_key)
        return seal.signed(body, self._encrypt_key, int(self.clock()))

    def _id(self, prefix: str) -> str:
        """Return an id that was never given before, by this simulator or by an earlier one."""
        return f"{prefix}_{int(self.clock() * 1_000_000):016x}{next(self._numbers):08x}"

    # What we ask of Feishu

    def expire_tokens(self) -> None:
        """Make every token that was granted a dead one."""
        self._tokens.clear()

    def method_of(self, request: Http) -> str:
        """Name the call by its method and path."""
        name, _ = _route(request)
        return name or super().method_of(request)

    def handle(self, request: Http) -> Response:
        """Answer one call as Feishu would."""
        name, place = _route(request)
        try:
            answer = self._answer(name, request, place)
        except Refusal as refusal:
            self.refuse(f"{name}: {refusal.code} {refusal.message}")
            return refusal.response()
        return answer if isinstance(answer, Response) else _taken(answer)

    def _answer(self, name: str, request: Http, place: dict[str, str]) -> dict[str, Any] | Response:
        if name == "endpoint":
            return self.gateway.endpoint(request)
        if name == "internal":
            return self._grant(rules.body(request, rules.TokenBody))
        if name not in self._calls:
            raise Refusal(404, "404 page not found", 404)
        self._authenticate(request)
        return self._calls[name](request, **place)

    def _grant(self, body: rules.TokenBody) -> Response:
        if (body.app_id, body.app_secret) != (APP, self._app_secret):
            raise Refusal(10014, "app secret invalid", 200)
        now = self.clock()
        fresh = [token for token, until in self._tokens.items() if until - now > HALF_HOUR]
        token = fresh[-1] if fresh else self._id("t")
        until = self._tokens.setdefault(token, now + LIFETIME)
        return wire.json_response(
            {"code": 0, "msg": "ok", "tenant_access_token": token, "expire": math.floor(until - now)}
        )

    def _authenticate(self, request: Http) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(99991661, "Missing access token for authorization.")
        if self._tokens.get(token, 0.0) <= self.clock():
            raise Refusal(99991663, "Invalid access token for authorization.")

    def _bot_info(self, _: Http) -> Response:
        bot = {"activate_status": 2, "app_name": "Dragoman", "open_id": BOT}
        return wire.json_response({"code": 0, "msg": "ok", "bot": bot})

    def _post(self, request: Http) -> dict[str, Any]:
        body = rules.body(request, rules.SendBody)
        prefix = RECEIVERS.get(request.query.get("receive_id_type", ""))
        if prefix is None:
            raise rules.parameter("invalid receive_id_type")
        if not body.receive_id.startswith(prefix) or not body.receive_id:
            raise rules.parameter("invalid receive_id")
        return self._take(request, body, chat=body.receive_id, method="messages")

    def _reply(self, request: Http, message_id: str) -> dict[str, Any]:
        body = rules.body(request, rules.ReplyBody)
        target = self._standing(message_id)
        thread = target.thread or (self._id("omt") if body.reply_in_thread else "")
        return self._take(request, body, chat=target.chat, thread=thread, method="reply", parent_id=message_id)

    def _take(
        self,
        request: Http,
        body: rules.SendBody | rules.ReplyBody,
        *,
        chat: str,
        method: str,
        thread: str = "",
        parent_id: str = "",
    ) -> dict[str, Any]:
        """Take a message: once for each `uuid`, and not too many in a chat."""
        said = self._content(body.msg_type, body.content, len(request.body))
        if body.uuid and (earlier := self.repeated(body.uuid, HOUR)):
            facts: dict[str, Any] = msgspec.json.decode(earlier.body)
            return facts
        self._let_in(chat)
        message_id = self._id("om")
        updatable = isinstance(said, rules.Card) and said.config.update_multi
        self.messages[message_id] = Stored(
            chat=chat, author=BOT, kind=body.msg_type, thread=thread, updatable=updatable
        )
        record = {**msgspec.to_builtins(body), "parent_id": parent_id, "thread_id": thread}
        self.accept(method, chat, text=rules.words(said), key=body.uuid, id=message_id, body=record)
        made = {"message_id": message_id, "chat_id": chat, "thread_id": thread, "msg_type": body.msg_type}
        if body.uuid:
            self.remember(body.uuid, wire.json_response(made))
        return made

    def _let_in(self, chat: str) -> None:
        if code := self.unavailable.get(chat):
            raise Refusal(code, "The chat is not available.")
        count, seconds = self._per_chat
        if wait := self.exceeded(chat, count, seconds):
            limits = {"x_ogw_ratelimit_limit": str(count), "x_ogw_ratelimit_reset": str(math.ceil(wait))}
            raise Refusal(99991400, "request trigger frequency limit", 429, **limits)

    def _content(self, kind: str, content: str, size: int) -> Any:
        """Read a content; what it shows must have been uploaded."""
        said = rules.content(kind, content, size)
        if (key := rules.key_of(said)) and key not in self.uploads:
            raise rules.parameter("invalid image_key or file_key")
        return said

    def _edit(self, request: Http, message_id: str) -> dict[str, Any]:
        body = rules.body(request, rules.EditBody)
        stored = self._own(message_id)
        if stored.kind not in {"text", "post"}:
            raise rules.parameter("invalid msg_type")
        if stored.edits >= MOST_EDITS:
            raise Refusal(230072, "The message has reached the number of times that it can be edited.")
        said = self._content(body.msg_type, body.content, len(request.body))
        stored.kind, stored.edits = body.msg_type, stored.edits + 1
        return self._changed("messages.edit", message_id, text=rules.words(said), body=msgspec.to_builtins(body))

    def _patch(self, request: Http, message_id: str) -> dict[str, Any]:
        body = rules.body(request, rules.PatchBody)
        stored = self._own(message_id)
        if stored.kind != "interactive":
            raise rules.parameter("This message is NOT a card")
        said = self._content("interactive", body.content, len(request.body))
        if not (stored.updatable and said.config.update_multi):
            raise rules.parameter("the card has no update_multi")
        return self._changed("messages.patch", message_id, text=said.words(), body=msgspec.to_builtins(body))

    def _delete(self, _: Http, message_id: str) -> dict[str, Any]:
        self._own(message_id)
        answer = self._changed("messages.delete", message_id, body={})
        del self.messages[message_id]
        self.recalled.add(message_id)
        return answer

    def _react(self, request: Http, message_id: str) -> dict[str, Any]:
        emoji = rules.body(request, rules.ReactionBody).reaction_type.emoji_type
        self._standing(message_id)
        if emoji not in rules.EMOJI:
            raise Refusal(231001, "reaction type is invalid.")
        return self._changed("reactions", message_id, text=emoji, body={"emoji_type": emoji})

    def _changed(self, method: str, message_id: str, *, body: dict[str, Any], text: str = "") -> dict[str, Any]:
        self.accept(method, self.messages[message_id].chat, text=text, id=message_id, body=body)
        return {"message_id": message_id}

    def _standing(self, message_id: str) -> Stored:
        """Return a message that stands in a chat."""
        if message_id in self.recalled:
            raise Refusal(230011, "The message was recalled.")
        if message_id not in self.messages:
            raise Refusal(231003, "The message is not found.")
        return self.messages[message_id]

    def _own(self, message_id: str) -> Stored:
        """Return a message that the bot itself wrote."""
        stored = self._standing(message_id)
        if stored.author != BOT:
            raise Refusal(230012, "Bot is NOT the sender of the message.")
        return stored

    # Files

    def _take_image(self, request: Http) -> dict[str, Any]:
        upload = rules.upload(request, {"image_type"}, "image", rules.MAX_IMAGE)
        if upload.facts != {"image_type": "message"}:
            raise Refusal(234001, "Invalid request param.")
        return {"image_key": self._keep("img", upload)}

    def _take_file(self, request: Http) -> dict[str, Any]:
        upload = rules.upload(request, {"file_type", "file_name", "duration"}, "file", rules.MAX_FILE)
        if upload.facts.get("file_type") not in rules.FILE_TYPES or not upload.facts.get("file_name"):
            raise Refusal(234001, "Invalid request param.")
        return {"file_key": self._keep("file", upload)}

    def _keep(self, prefix: str, upload: rules.Upload) -> str:
        key = self._id(prefix)
        self.uploads[key] = upload
        return key

    def _download(self, request: Http, message_id: str, key: str) -> Response:
        """Hand out a file of a message; Feishu has none of a sticker."""
        stored = self._standing(message_id)
        if request.query.get("type") not in {"image", "file"}:
            raise Refusal(234001, "Invalid request param.")
        if stored.kind == "sticker":
            raise Refusal(234043, "Unsupported message type.")
        resource = self.resources.get((message_id, key))
        if resource is None or resource.kind != request.query["type"]:
            raise Refusal(234003, "File not in msg.")
        return Response(headers={"content-type": resource.mime}, body=resource.content)


def _route(request: Http) -> tuple[str, dict[str, str]]:
    path = urlsplit(request.url).path
    for method, pattern, name in ROUTES:
        found = pattern.fullmatch(path)
        if found and method == request.method:
            return name, {part: unquote(value) for part, value in found.groupdict().items()}
    return "", {}


def _taken(answer: dict[str, Any]) -> Response:
    return wire.json_response({"code": 0, "msg": "success", "data": answer})
