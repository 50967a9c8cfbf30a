"""The Bot API as an ASGI application: sends, edits, callbacks, files, webhooks and long polling."""

import asyncio
import contextlib
import math
import re
import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from dragoman import wire
from dragoman.testing.simulator import Simulator
from dragoman.testing.simulators.telegram import checks, markup
from dragoman.testing.simulators.telegram.calls import Problem, Upload, bad_request, parameters
from dragoman.wire import Http, Response

Call = Callable[[Any, str, dict[str, Any]], Any]

TOKEN: Final = "7001:" + "simulated_token_of_35_characters_AB"
SECRET: Final = "simulated-webhook-secret"  # noqa: S105 - invented, for the simulator alone
PATH: Final = re.compile(r"(?P<file>/file)?/bot(?P<token>[^/]+)/(?P<rest>.+)")
EMPTY: Final = wire.json_response({"ok": True, "result": []}).body

WEBHOOK_ACTIVE: Final = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)
OTHER_POLLER: Final = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
NOT_MODIFIED: Final = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current "
    "content and reply markup of the message"
)
UNASKED: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Updates that come only when `allowed_updates` names them ("getUpdates")."""
MAX_DOWNLOAD: Final = 20 << 20
MAX_POLL: Final = 50


class TelegramSimulator(Simulator):
    """One bot and its chats; `blocked` and `migrated` say which chats make trouble."""

    platform = "telegram"

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        token: str = TOKEN,
        secret: str = SECRET,
        username: str = "dragoman_bot",
        per_second: int = 30,
        per_chat: int = 1,
    ) -> None:
        """Start with no messages; `secret` empty makes `settings` those of a polling account.

        The limits are Telegram's: 30 messages a second, and 1 in each chat (Bots FAQ, "My bot is hitting limits").
        """
        super().__init__(clock=clock)
        self.token, self.secret, self.username = token, secret, username
        self.per_second, self.per_chat = per_second, per_chat
        self.blocked: set[str] = set()
        self.migrated: dict[str, int] = {}
        self.hook = ""
        self.files: dict[str, Upload] = {}
        self._own: dict[tuple[int, int], tuple[str, str, Any]] = {}
        self._theirs: set[tuple[int, int]] = set()
        self._callbacks: set[str] = set()
        self._numbers = {"update": 1000, "message": 100, "callback": 0}
        self._updates: deque[dict[str, Any]] = deque()
        self._allowed: list[str] | None = None
        self._poller = 0
        self._changed = asyncio.Event()

    # What a test or a benchmark calls.

    def settings(self, url: str) -> dict[str, str]:
        """Return the account settings that fit this simulator, served at `url`."""
        secret = {"secret_token": self.secret} if self.secret else {}
        return {"api_base": url, "bot_token": self.token, "bot_username": self.username, **secret}

    def webhook(self, text: str, *, sender: str = "", channel: str = "") -> Http:
        """Return a new message to the bot as its webhook request; a negative channel is a group."""
        return self.signed(self.message(text, sender=sender, channel=channel))

    def deliver(self, text: str, *, sender: str = "", channel: str = "") -> int:
        """Queue a new message to the bot for `getUpdates`; returns its update's number."""
        return self.queue(self.message(text, sender=sender, channel=channel))

    def message(self, text: str, *, sender: str = "", channel: str = "") -> dict[str, Any]:
        """Make the update of a new message."""
        chat, author = _parties(sender, channel)
        number = self._next("message")
        content: dict[str, Any] = {
            "message_id": number,
            "from": _user(author),
            "chat": _chat(chat),
            "date": int(self.clock()),
            "text": text,
        }
        if entities := markup.entities(text, self.username):
            content["entities"] = entities
        self._theirs.add((chat, number))
        return self._update("message", content)

    def press(self, data: str, *, message_id: int, sender: str = "", channel: str = "") -> dict[str, Any]:
        """Make the update of a pressed button; its callback waits for one answer."""
        chat, author = _parties(sender, channel)
        number = f"callback-{self._next('callback')}"
        self._callbacks.add(number)
        under = {"message_id": message_id, "chat": _chat(chat), "date": 0}
        query = {"id": number, "from": _user(author), "message": under, "chat_instance": "1", "data": data}
        return self._update("callback_query", query)

    def signed(self, update: dict[str, Any]) -> Http:
        """Make the webhook request that brings an update."""
        headers = {"content-type": "application/json", "x-telegram-bot-api-secret-token": self.secret}
        return Http(headers=headers, body=msgspec.json.encode(update))

    def queue(self, update: dict[str, Any]) -> int:
        """Keep an update for `getUpdates`, unless its kind was not asked for; returns its number."""
        kinds = update.keys() - {"update_id"}
        asked = kinds <= set(self._allowed) if self._allowed else not kinds & UNASKED
        if asked:
            self._updates.append(update)
            self._wake()
        number: int = update["update_id"]
        return number

    def keep(self, content: bytes, name: str = "file.bin") -> str:
        """Keep a file that a message of ours could carry; returns its `file_id`."""
        number = f"file-{len(self.files) + 1}"
        self.files[number] = Upload(name=name, content=content)
        return number

    # What the bot calls.

    def method_of(self, request: Http) -> str:
        """Name the method; a download is `file`."""
        path = urlsplit(request.url).path
        return "file" if path.startswith("/file/") else path.rsplit("/", 1)[-1]

    async def answer(self, request: Http) -> Response:
        """Answer a call; `getUpdates` waits for updates as long as it asks to."""
        response = await super().answer(request)
        if self.method_of(request) != "getUpdates" or response.body != EMPTY:
            return response
        return await self._long_poll(request)

    async def _long_poll(self, request: Http) -> Response:
        mine = self._poller
        seconds = min(float(parameters(request, "getUpdates").get("timeout", 0)), MAX_POLL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._updates and mine == self._poller:
                    await self._changed.wait()
        if mine == self._poller:
            return self.handle(request)
        problem = Problem(409, OTHER_POLLER)
        self.refuse(problem.description)
        return problem.response()

    def handle(self, request: Http) -> Response:
        """Answer one call at once."""
        try:
            return self._serve(request)
        except Problem as problem:
            self.refuse(problem.description)
            return problem.response()

    def _serve(self, request: Http) -> Response:
        found = PATH.fullmatch(urlsplit(request.url).path)
        if found is None or not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]{35}", found["token"]):
            raise Problem(404, "Not Found")
        if found["token"] != self.token:
            raise Problem(401, "Unauthorized")
        if found["file"]:
            return self._download(found["rest"])
        method = found["rest"]
        values = parameters(request, method)
        call: Call = self._methods.get(method, TelegramSimulator._send)
        return wire.json_response({"ok": True, "result": call(self, method, values)})

    def _download(self, path: str) -> Response:
        file = self.files.get(path.removeprefix("documents/"))
        if file is None:
            raise Problem(404, "Not Found")
        return Response(headers={"content-type": "application/octet-stream"}, body=file.content)

    def _get_me(self, _method: str, _values: dict[str, Any]) -> dict[str, Any]:
        return {**self._bot(), "can_join_groups": True, "can_read_all_group_messages": False}

    def _get_file(self, _method: str, values: dict[str, Any]) -> dict[str, Any]:
        number = values["file_id"]
        file = self.files.get(number)
        if file is None:
            raise bad_request("invalid file_id")
        if len(file.content) > MAX_DOWNLOAD:
            raise bad_request("file is too big")
        facts = {"file_id": number, "file_unique_id": number, "file_size": len(file.content)}
        return {**facts, "file_path": f"documents/{number}"}

    def _get_updates(self, _method: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        if self.hook:
            raise Problem(409, WEBHOOK_ACTIVE)
        self._poller += 1
        self._wake()
        self._allowed = values.get("allowed_updates", self._allowed)
        offset = int(values.get("offset", 0))
        while self._updates and (len(self._updates) > -offset if offset < 0 else self._first() < offset):
            self._updates.popleft()
        return list(self._updates)[: int(values.get("limit", 100))]

    def _first(self) -> int:
        number: int = self._updates[0]["update_id"]
        return number

    def _set_webhook(self, _method: str, values: dict[str, Any]) -> bool:
        checks.webhook(values)
        self.hook = values["url"]
        self._allowed = values.get("allowed_updates", self._allowed)
        return True

    def _delete_webhook(self, _method: str, values: dict[str, Any]) -> bool:
        self.hook = ""
        if values.get("drop_pending_updates"):
            self._updates.clear()
        return True

    def _webhook_info(self, _method: str, _values: dict[str, Any]) -> dict[str, Any]:
        return {"url": self.hook, "has_custom_certificate": False, "pending_update_count": len(self._updates)}

    def _send(self, method: str, values: dict[str, Any]) -> dict[str, Any]:
        chat = self._reach(values["chat_id"])
        field = "text" if method == "sendMessage" else "caption"
        text = checks.text(values, field)
        keyboard = checks.keyboard(values)
        self._check_reply(chat, values)
        self._check_file(values.get(method.removeprefix("send").lower(), ""))
        self._pace(chat)
        number = self._next("message")
        self._own[chat, number] = (field, text, keyboard)
        self.accept(method, str(chat), text=text, id=str(number), body=values)
        return self._result(chat, number)

    def _edit(self, method: str, values: dict[str, Any]) -> dict[str, Any]:
        chat, number = self._reach(values["chat_id"]), checks.number(values["message_id"])
        field = "text" if method == "editMessageText" else "caption"
        text = checks.text(values, field)
        if (chat, number) not in self._own:
            raise bad_request("message to edit not found")
        content = (field, text, checks.keyboard(values))
        if self._own[chat, number][0] != field:
            raise bad_request(f"there is no {field} in the message to edit")
        if self._own[chat, number] == content:
            raise bad_request(NOT_MODIFIED)
        self._pace(chat)
        self._own[chat, number] = content
        self.accept(method, str(chat), text=text, id=str(number), body=values)
        return self._result(chat, number)

    def _delete(self, method: str, values: dict[str, Any]) -> bool:
        chat, number = self._reach(values["chat_id"]), checks.number(values["message_id"])
        if self._own.pop((chat, number), None) is None:
            raise bad_request("message to delete not found")
        self.accept(method, str(chat), id=str(number), body=values)
        return True

    def _react(self, method: str, values: dict[str, Any]) -> bool:
        chat, number = self._reach(values["chat_id"]), checks.number(values["message_id"])
        if not self._knows(chat, number):
            raise bad_request("message to react not found")
        emoji = checks.reaction(values)
        self.accept(method, str(chat), text=emoji, id=str(number), body=values)
        return True

    def _chat_action(self, method: str, values: dict[str, Any]) -> bool:
        chat = self._reach(values["chat_id"])
        checks.chat_action(values)
        self.accept(method, str(chat), text=values["action"], body=values)
        return True

    def _answer_callback(self, method: str, values: dict[str, Any]) -> bool:
        number = values["callback_query_id"]
        if number not in self._callbacks:
            raise bad_request("query is too old and response timeout expired or query ID is invalid")
        checks.notice(values)
        self._callbacks.remove(number)
        self.accept(method, "", text=values.get("text", ""), id=number, body=values)
        return True

    def _reach(self, chat_id: Any) -> int:
        """Return the chat's number, or refuse as the chat's state demands."""
        if not re.fullmatch(r"-?[0-9]{1,16}", str(chat_id)):
            raise bad_request("chat not found")
        if str(chat_id) in self.migrated:
            description = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Problem(400, description, migrate_to_chat_id=self.migrated[str(chat_id)])
        if str(chat_id) in self.blocked:
            raise Problem(403, "Forbidden: bot was blocked by the user")
        return int(chat_id)

    def _check_reply(self, chat: int, values: dict[str, Any]) -> None:
        reply = values.get("reply_parameters") or {"allow_sending_without_reply": True}
        if not (self._knows(chat, reply.get("message_id")) or reply.get("allow_sending_without_reply")):
            raise bad_request("message to be replied not found")

    def _check_file(self, file: Any) -> None:
        """Accept an upload, a file that the server has, or an address from which it would fetch one."""
        known = isinstance(file, Upload) or file in self.files
        if file and not known and not str(file).startswith(("http://", "https://")):
            raise bad_request("wrong file identifier/HTTP URL specified")

    def _knows(self, chat: int, number: Any) -> bool:
        return (chat, number) in self._own or (chat, number) in self._theirs

    def _pace(self, chat: int) -> None:
        wait = self.exceeded(f"chat:{chat}", self.per_chat, 1.0) or self.exceeded("account", self.per_second, 1.0)
        if wait:
            seconds = math.ceil(wait)
            raise Problem(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)

    def _result(self, chat: int, number: int) -> dict[str, Any]:
        field, text, _ = self._own[chat, number]
        head = {"message_id": number, "from": self._bot(), "chat": _chat(chat), "date": int(self.clock())}
        return {**head, field: text}

    def _bot(self) -> dict[str, Any]:
        number = int(self.token.partition(":")[0])
        return {"id": number, "is_bot": True, "first_name": "Dragoman", "username": self.username}

    def _update(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        return {"update_id": self._next("update"), kind: content}

    def _next(self, name: str) -> int:
        self._numbers[name] += 1
        return self._numbers[name]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    _methods: ClassVar[dict[str, Call]] = {
        "getMe": _get_me,
        "getUpdates": _get_updates,
        "setWebhook": _set_webhook,
        "deleteWebhook": _delete_webhook,
        "getWebhookInfo": _webhook_info,
        "getFile": _get_file,
        "editMessageText": _edit,
        "editMessageCaption": _edit,
        "deleteMessage": _delete,
        "setMessageReaction": _react,
        "sendChatAction": _chat_action,
        "answerCallbackQuery": _answer_callback,
    }
    """Any other known method sends a message."""


def _id(name: str) -> int:
    """Return a chat's or person's number; a name that is none gets one of its own."""
    return int(name) if re.fullmatch(r"-?[0-9]{1,16}", name) else zlib.crc32(name.encode())


def _parties(sender: str, channel: str) -> tuple[int, int]:
    """Return chat and author: a private chat has the id of its person ("Chat")."""
    chat = _id(channel or sender or "111")
    return (chat, _id(sender or "111")) if chat < 0 else (chat, chat)


def _user(number: int) -> dict[str, Any]:
    return {"id": number, "is_bot": False, "first_name": f"Guest {number}", "language_code": "en"}


def _chat(number: int) -> dict[str, Any]:
    if number < 0:
        return {"id": number, "type": "supergroup", "title": f"Group {number}"}
    return {"id": number, "type": "private", "first_name": f"Guest {number}"}
