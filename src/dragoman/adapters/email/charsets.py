"""Bytes to text, whatever they say of themselves: charsets under their many names, and transfer encodings.

Nothing here raises. What cannot be decoded is shown as well as it can be, and what no store or database
takes (unpaired surrogates, control characters) is gone from the result.
"""

import binascii
import codecs
import re
from typing import Final

ALIASES: Final = {
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "x-gb2312": "gb18030",
    "cp936": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-8-e": "iso8859_8",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "x-mac-roman": "mac_roman",
    "unicode-1-1-utf-7": "utf-7",
    "utf8": "utf-8",
    "utf-8": "utf-8-sig",
    "x-unknown": "",
    "unknown-8bit": "",
    "default": "",
    "ascii": "",
    "us-ascii": "",
    "ansi_x3.4-1968": "",
}
"""Names that Python does not know, and supersets for what is sent under a smaller set's name; empty: to be guessed."""

NAME: Final = re.compile(r"[A-Za-z0-9._:+-]{1,40}")
KNOWN: Final = re.compile(
    r"(?:utf|iso|cp\d|koi|kz1048|gb|big5|euc|shift|hz|mac|tis|johab|ptcp|hp_roman)", re.IGNORECASE
)
"""Charsets of mails among the standard library's codecs, which also have compressions and escapes."""

CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]+")
WINDOW: Final = 1 << 20
"""Bytes that are decoded of one text: no letter is longer."""


def decode(raw: bytes, charset: str) -> str:
    """Return bytes as text, by the charset that they claim, else by what they look like."""
    raw = raw[:WINDOW]
    name = _codec(charset)
    if name:
        try:
            return clean(raw.decode(name))
        except UnicodeError:
            if not name.startswith("utf-8"):
                return clean(_leniently(raw, name))
    return guess(raw)


def guess(raw: bytes) -> str:
    """Return bytes that claim nothing as text: UTF-8 where they are that, else Windows' Latin."""
    try:
        return clean(raw.decode("utf-8-sig"))
    except UnicodeError:
        return clean(raw.decode("utf-8", "replace") if _mostly_utf8(raw) else raw.decode("cp1252", "replace"))


def clean(text: str) -> str:
    """Return a text with its lines ended by LF alone, and without control characters."""
    return CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str) -> str:
    """Return a text on one line, its white space single."""
    return " ".join(clean(text).split())


def transferred(raw: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding; a wrong one is undone as far as it goes."""
    kind = encoding.strip().lower()
    if kind in {"base64", "b"}:
        return _base64(raw)
    if kind in {"quoted-printable", "q"}:
        return binascii.a2b_qp(raw)
    return raw


def _base64(raw: bytes) -> bytes:
    letters = raw.translate(None, NOT_BASE64)
    letters = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


def _codec(charset: str) -> str:
    """Return the name of a codec that may be used; empty when there is none, or nothing is known."""
    name = charset.strip().strip("'\"").lower()
    name = ALIASES.get(name, name)
    if not NAME.fullmatch(name):
        return ""
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return ""
    return name if KNOWN.match(found) else ""


def _leniently(raw: bytes, name: str) -> str:
    try:
        return raw.decode(name, "replace")
    except UnicodeError:  # a codec that cannot replace
        return raw.decode("latin-1")


def _mostly_utf8(raw: bytes) -> bool:
    """Tell whether a text is UTF-8 but for a few broken bytes."""
    text = raw[:65536].decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond = sum(character > "\x7f" for character in text)
    return broken * 4 < beyond
