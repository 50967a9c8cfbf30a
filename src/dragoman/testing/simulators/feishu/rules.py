"""What Feishu refuses: bodies by call, contents by type of message, each with Feishu's own code.

Source: open.feishu.cn, the page of each call, "Message content" of sent messages, "Card JSON 2.0 structure",
"Emoji types" of message reactions.
"""

import dataclasses
import email
import email.policy
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from dragoman import wire
from dragoman.errors import Malformed
from dragoman.wire import Http, Response

T = TypeVar("T")

JSON: Final = "application/json; charset=utf-8"
FILE_TYPES: Final = frozenset({"opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"})
MAX_BODY: Final = 150 << 10
MAX_CARD: Final = 30 << 10
MAX_IMAGE: Final = 10 << 20
MAX_FILE: Final = 30 << 20

EMOJI: Final = frozenset(
    """
    OK THUMBSUP THANKS MUSCLE FINGERHEART APPLAUSE FISTBUMP JIAYI DONE SMILE BLUSH LAUGH SMIRK LOL FACEPALM LOVE WINK
    PROUD WITTY SMART SCOWL THINKING SOB CRY ERROR GLANCE DULL JOYFUL WOW TRICK YEAH TEARS KISS CLAP PRAISE STRIVE WAVE
    WHAT FROWN SHY HUG ANGRY SHOCKED SWEAT SPEECHLESS SLEEP SALUTE HIGHFIVE ThumbsDown ROSE HEART PARTY BEER CAKE GIFT
    Yes No CheckMark CrossMark MinusOne Hundred Pin Alarm Trophy Fire Get LGTM OnIt OneSecond Typing Coffee HEARTBROKEN
    """.split()  # noqa: SIM905 - eighty names read better as a block
)


class Refusal(Exception):
    """A call is refused with a code of Feishu's, usually with status 400."""

    def __init__(self, code: int, message: str, status: int = 400, **headers: str) -> None:
        """Give the code and the words for it."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        """Return the answer that refuses."""
        return wire.json_response({"code": self.code, "msg": self.message}, self.status, self.headers)


def parameter(problem: str) -> Refusal:
    """Make the refusal that most mistakes get."""
    return Refusal(230001, f"Your request contains an invalid request parameter, ext={problem}.")


Kind = Literal["text", "post", "image", "file", "audio", "media", "interactive"]
Uuid = Annotated[str, Meta(max_length=50)]


class Strict(Struct, forbid_unknown_fields=True):
    """The base of all bodies: what is not documented is refused."""


class TokenBody(Strict):
    """Body of "Get tenant_access_token"."""

    app_id: str
    app_secret: str


class SendBody(Strict):
    """Body of "Send message"."""

    receive_id: str
    msg_type: Kind
    content: str
    uuid: Uuid = ""


class ReplyBody(Strict):
    """Body of "Reply message"."""

    msg_type: Kind
    content: str
    reply_in_thread: bool = False
    uuid: Uuid = ""


class EditBody(Strict):
    """Body of "Edit message": a card is updated by another call."""

    msg_type: Literal["text", "post"]
    content: str


class PatchBody(Strict):
    """Body of "Update message card"."""

    content: str


class EmojiType(Strict):
    """Which emoji."""

    emoji_type: str


class ReactionBody(Strict):
    """Body of "Add message reaction"."""

    reaction_type: EmojiType


class Text(Strict):
    """Content of `text`."""

    text: Annotated[str, Meta(min_length=1)]


class MdElement(Strict, tag_field="tag", tag="md"):
    """Rich text in Markdown."""

    text: Annotated[str, Meta(min_length=1)]


class TextElement(Strict, tag_field="tag", tag="text"):
    """Plain words in rich text."""

    text: str


class LinkElement(Strict, tag_field="tag", tag="a"):
    """A link in rich text."""

    text: str
    href: str


class AtElement(Strict, tag_field="tag", tag="at"):
    """A mention in rich text."""

    user_id: str


class ImageElement(Strict, tag_field="tag", tag="img"):
    """A picture in rich text."""

    image_key: str


class Post(Strict):
    """Rich text in one language."""

    content: Annotated[list[list[MdElement | TextElement | LinkElement | AtElement | ImageElement]], Meta(min_length=1)]
    title: str = ""


class ImageKey(Strict):
    """Content of `image`."""

    image_key: str


class FileKey(Strict):
    """Content of `file` and `audio`."""

    file_key: str


class MediaKey(Strict):
    """Content of `media`: a video, and the picture that stands for it."""

    file_key: str
    image_key: str = ""


class Markdown(Strict, tag_field="tag", tag="markdown"):
    """A card's text."""

    content: Annotated[str, Meta(min_length=1)]


class Label(Strict, tag_field="tag", tag="plain_text"):
    """What stands on a button."""

    content: Annotated[str, Meta(min_length=1)]


class Callback(Strict, tag_field="type", tag="callback"):
    """Pressing the button calls us back with a value."""

    value: dict[str, Any]


class OpenUrl(Strict, tag_field="type", tag="open_url"):
    """Pressing the button opens an address."""

    default_url: Annotated[str, Meta(min_length=1)]


class Button(Strict, tag_field="tag", tag="button"):
    """A card's button."""

    text: Label
    behaviors: Annotated[list[Callback | OpenUrl], Meta(min_length=1)]


class Column(Strict, tag_field="tag", tag="column"):
    """A column of a card."""

    elements: list[Markdown | Button]
    width: str = ""


class ColumnSet(Strict, tag_field="tag", tag="column_set"):
    """Columns of a card, side by side."""

    columns: Annotated[list[Column], Meta(min_length=1)]
    flex_mode: str = ""


class CardConfig(Strict):
    """How a card behaves."""

    update_multi: bool = False


class CardBody(Strict):
    """What a card shows."""

    elements: Annotated[list[Markdown | Button | ColumnSet], Meta(min_length=1)]


class Card(Strict):
    """Content of `interactive`."""

    schema: Literal["2.0"]
    body: CardBody
    config: CardConfig = msgspec.field(default_factory=CardConfig)

    def words(self) -> str:
        """Return its text."""
        return "\n".join(element.content for element in self.body.elements if isinstance(element, Markdown))


CONTENTS: Final[dict[str, Any]] = {
    "text": Text,
    "post": dict[Literal["zh_cn", "en_us", "ja_jp"], Post],
    "image": ImageKey,
    "file": FileKey,
    "audio": FileKey,
    "media": MediaKey,
    "interactive": Card,
}


def body(request: Http, kind: type[T]) -> T:
    """Return a call's JSON body; Feishu wants the character set named."""
    if request.headers.get("content-type", "").lower() != JSON:
        raise Refusal(99991402, "field validation failed: content-type is not application/json; charset=utf-8")
    try:
        return wire.decode(request.body, kind)
    except Malformed as error:
        raise parameter(str(error)) from error


def content(kind: str, text: str, size: int) -> Any:
    """Read a message's content, which is JSON in a text; `size` is the whole request's."""
    if size > (MAX_CARD if kind == "interactive" else MAX_BODY):
        raise Refusal(230025, "The length of the message content reaches its limit.")
    try:
        return wire.decode(text, CONTENTS[kind])
    except Malformed as error:
        if kind == "interactive":
            raise Refusal(230099, f"Failed to create card content, ext={error}.") from error
        raise parameter(f"invalid content: {error}") from error


def words(said: Any) -> str:
    """Return what a content says in words."""
    if isinstance(said, Text):
        return said.text
    if isinstance(said, Card):
        return said.words()
    posts: list[Post] = list(said.values()) if isinstance(said, dict) else []
    return "\n".join(
        element.text
        for paragraph in (posts[0].content if posts else ())
        for element in paragraph
        if isinstance(element, MdElement | TextElement | LinkElement)
    )


def key_of(said: Any) -> str:
    """Return the key of what a content shows; the empty text when it shows nothing."""
    return getattr(said, "image_key", "") or getattr(said, "file_key", "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that was uploaded, with the facts beside it."""

    name: str
    content: bytes
    facts: dict[str, str]


def upload(request: Http, names: set[str], file: str, most: int) -> Upload:
    """Read a multipart body: texts of these names, and the file."""
    head = f"content-type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    found = {str(part.get_param("name", header="content-disposition")): part for part in message.iter_parts()}
    if found.keys() - names - {file} or file not in found:
        raise Refusal(234001, "Invalid request param.")
    contents = {name: bytes(part.get_payload(decode=True)) for name, part in found.items()}
    content = contents.pop(file)
    if not content:
        raise Refusal(234010, "File's size can't be 0.")
    if len(content) > most:
        raise Refusal(234006, "The file size exceed the max value.")
    facts = {name: value.decode(errors="replace") for name, value in contents.items()}
    return Upload(name=found[file].get_filename() or "", content=content, facts=facts)
