"""The fields of a header as values: words, addresses, parameters, ids and dates.

RFC 5322, 2047 (encoded words), 2231 (parameters in pieces), 6532 (raw UTF-8). Each function is total, and takes
time in proportion to the length of what it reads, of which it reads no more than `LONGEST` characters.
"""

import binascii
import itertools
import re
from collections.abc import Iterator, Sequence
from email.utils import mktime_tz, parsedate_tz
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from dragoman.adapters.email import charsets

LONGEST: Final = 1 << 15
LONGEST_FIELD: Final = 4096
"""Characters of a field with parameters."""
MOST_PARAMETERS: Final = 100
MOST_ADDRESSES: Final = 200
LONGEST_ADDRESS: Final = 400
MOST_IDS: Final = 100

WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
BETWEEN: Final = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
TOKEN: Final = re.compile(
    r"""
    (?P<quoted>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))
    | (?P<angle><[^>]*(?:>|\Z))
    | (?P<mark>[(),:;])
    | (?P<space>\s+)
    | (?P<atom>[^\s"<(),:;]+)
    """,
    re.VERBOSE | re.DOTALL,
)
PARAMETER: Final = re.compile(r';\s*([^\s=;"]{1,60})\s*=\s*("(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^;\s]*)', re.DOTALL)
PIECE: Final = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?")
ID: Final = re.compile(r"<([^<>\s\x00-\x1f\x7f]{1,250})>")
ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()\\]{1,128}@(?:[^\s@<>,;:\"()\\\[\]]{1,255}|\[[^\s@<>\[\]]{1,64}\])")
QUOTED_LOCAL: Final = re.compile(r'"((?:[^"\\]|\\.)*)"@')


class Mailbox(NamedTuple):
    """Somebody's name and address; the address is in lower case, and empty when it is none."""

    name: str
    address: str


class Token(NamedTuple):
    """A piece of an address list."""

    kind: str
    text: str


def text(raw: bytes) -> str:
    """Return a field's raw value as text, unfolded: UTF-8 where it is that (RFC 6532)."""
    return charsets.line(charsets.guess(raw[:LONGEST]))


def words(value: str) -> str:
    """Decode encoded words (RFC 2047), also where they should not stand."""
    value = value[:LONGEST]
    if "=?" not in value:
        return charsets.line(value)
    return charsets.line("".join(_decoded(BETWEEN.sub(r"\1", value))))


def _decoded(value: str) -> Iterator[str]:
    """Yield the decoded pieces; neighbours of one charset are decoded together, for letters cut in two."""
    end, charset, waiting = 0, "", b""
    for found in WORD.finditer(value):
        name = found[1].partition("*")[0].lower()
        if waiting and (found.start() > end or name != charset):
            yield charsets.decode(waiting, charset)
            waiting = b""
        yield value[end : found.start()]
        waiting += _word(found[2], found[3])
        end, charset = found.end(), name
    if waiting:
        yield charsets.decode(waiting, charset)
    yield value[end:]


def _word(encoding: str, content: str) -> bytes:
    raw = content.encode("utf-8", "replace")
    if encoding in "bB":
        return charsets.transferred(raw, "base64")
    return binascii.a2b_qp(raw.replace(b" ", b"_"), header=True)


def addresses(value: str) -> tuple[Mailbox, ...]:
    """Read a list of addresses; groups are taken for their members, comments for names."""
    found = []
    for entry in _entries(value[:LONGEST]):
        mailbox = _mailbox(entry)
        if mailbox.address:
            found.append(mailbox)
        if len(found) == MOST_ADDRESSES:
            break
    return tuple(found)


def _entries(value: str) -> Iterator[list[Token]]:
    """Part a list at its commas, its semicolons, and after the name of a group."""
    entry: list[Token] = []
    for token in _tokens(value):
        if token.text in {",", ";"} and token.kind == "mark":
            yield entry
            entry = []
        elif token == Token("mark", ":"):
            entry = []
        else:
            entry.append(token)
    yield entry


def _tokens(value: str) -> Iterator[Token]:
    """Yield what an address list is made of; a comment, with those in it, is one token."""
    comment: list[str] = []
    depth = 0
    for found in TOKEN.finditer(value):
        kind, piece = str(found.lastgroup), found[0]
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth < 0:
            depth = 0
        elif depth or comment:
            comment.append(piece)
            if not depth:
                yield Token("comment", "".join(comment)[1:-1])
                comment = []
        else:
            yield Token(kind, piece)


def _mailbox(entry: Sequence[Token]) -> Mailbox:
    angle = next((token.text.strip("<>") for token in entry if token.kind == "angle"), None)
    comment = next((token.text for token in entry if token.kind == "comment"), "")
    said = "".join(_unquoted(token) for token in entry if token.kind in {"quoted", "atom", "space"}).strip()
    if angle is None:
        bare = "".join(token.text for token in entry if token.kind in {"quoted", "atom"})
        return Mailbox(name=words(comment), address=address(bare))
    return Mailbox(
        name=words(said or comment), address=address(angle.rpartition(":")[2] if "[" not in angle else angle)
    )


def _unquoted(token: Token) -> str:
    if token.kind != "quoted":
        return token.text
    return re.sub(r"\\(.)", r"\1", token.text.removeprefix('"').removesuffix('"'))


def address(value: str) -> str:
    """Return an address in lower case; empty when it is none that can be written to."""
    bare = QUOTED_LOCAL.sub(lambda found: found[1], charsets.clean(value[:LONGEST_ADDRESS]).strip(), count=1)
    return bare.lower() if ADDRESS.fullmatch(bare) else ""


def wired(address: str) -> str:
    """Return an address with its domain in ASCII (IDNA); a local part beyond it needs a server with SMTPUTF8."""
    local, at, domain = address.rpartition("@")
    try:
        return local + at + (domain if domain.isascii() else domain[:253].encode("idna").decode())
    except UnicodeError:
        return address


def ids(value: str) -> tuple[str, ...]:
    """Return the message ids of a field, in angle brackets, in their order, each once; at most the first and last."""
    found = tuple(dict.fromkeys(f"<{name}>" for name in ID.findall(value[:LONGEST])))
    return found if len(found) <= MOST_IDS else (found[0], *found[1 - MOST_IDS :])


def moment(value: str) -> float | None:
    """Return a date in epoch seconds; None when it is none. Without a zone it counts as UTC."""
    try:
        parsed = parsedate_tz(value[:200])
        found = mktime_tz(parsed) if parsed else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return float(found) if found is not None and 0 <= found < 1 << 33 else None


def kind(value: str, default: str) -> str:
    """Return the media type of a Content-Type, in lower case; the default when it is not one."""
    found = value[:LONGEST].partition(";")[0].strip().lower()
    return found if re.fullmatch(r"[\w!#$&^.+-]{1,64}/[\w!#$&^.+-]{1,64}", found, re.ASCII) else default


def parameters(value: str) -> dict[str, str]:
    """Return the parameters of a field, decoded and put together (RFC 2231, and RFC 2047 where it should not be)."""
    whole: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    given = PARAMETER.finditer(f";{value[:LONGEST_FIELD].partition(';')[2]}")
    for name, raw in (found.groups() for found in itertools.islice(given, MOST_PARAMETERS)):
        found = PIECE.fullmatch(name.lower())
        content = _unquoted(Token("quoted", raw)) if raw.startswith('"') else raw
        if found is None or (found[2] is None and found[3] is None):
            whole.setdefault(name.lower(), words(content))
        else:
            pieces.setdefault(found[1], {}).setdefault(int(found[2] or 0), (bool(found[3]), content))
    return {**whole, **{name: _joined(numbered) for name, numbered in pieces.items()}}


def _joined(numbered: dict[int, tuple[bool, str]]) -> str:
    """Join a parameter's pieces; the first may name the charset of all that are encoded."""
    charset, raw = "", b""
    for number, (encoded, content) in sorted(numbered.items()):
        if encoded and number == 0 and content.count("'") >= 2:
            charset, _, content = content.split("'", 2)  # noqa: PLW2901 - what is left of the piece
        raw += unquote_to_bytes(content) if encoded else content.encode("utf-8", "replace")
    return charsets.line(charsets.decode(raw, charset))
