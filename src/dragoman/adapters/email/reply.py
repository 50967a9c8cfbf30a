"""The reply alone: what somebody wrote now, without the mail that they quote and without their signature."""

import re
from collections.abc import Sequence
from typing import Final

ATTRIBUTIONS: Final = re.compile(
    r"""
    (?: on\ .+\ wrote                       # On Mon, 1 Jan 2024 at 10:00, Ada <ada@example.org> wrote:
      | am\ .+\ schrieb(?:\ .+)?            # Am 1. Januar schrieb Ada:
      | le\ .+\ a\ écrit\ ?                 # Le lundi 1 janvier, Ada a écrit :
      | el\ .+\ (?:escribió|escribio)
      | il\ .+\ ha\ scritto
      | op\ .+\ (?:schreef|heeft)(?:\ .+)?
      | em\ .+\ escreveu
      | den\ .+\ skrev(?:\ .+)?
      | w\ dniu\ .+\ (?:napisał|pisze)(?:\(a\))?(?:\ .+)?
      | .+\ (?:пишет|написал|написала)
      | [在于於].+写道 | [在於].+寫道
      | .+のメール
      | .+<[^<>\s]+@[^<>\s]+>\ (?:wrote|schrieb|a\ écrit|escribió)
    )\ ?[:：]
    """,
    re.IGNORECASE | re.VERBOSE,
)
OPENINGS: Final = re.compile(r"(?:on|am|le|el|il|op|em|den|w dniu)\s|[在于於]", re.IGNORECASE)
"""How an attribution that is broken over several lines begins."""
LONGEST_ATTRIBUTION: Final = 400

DIVIDERS: Final = re.compile(
    r"""
    -{2,}\s?(?:original\ (?:message|appointment)|ursprüngliche\ nachricht|message\ d['’]origine|mensaje\ original
        |messaggio\ originale|oorspronkelijk\ bericht|mensagem\ original|originalmeddelande|原始邮件|原始郵件
        |original|reply\ message|reply\ above\ this\ line)\s?-{2,}
    | _{20,}
    """,  # noqa: RUF001 - as French mails have it
    re.IGNORECASE | re.VERBOSE,
)
FROM: Final = re.compile(r"\*?(?:from|von|de|da|van|från|fra|от|发件人|寄件者|差出人)\s?[:：]\*?\s?\S", re.IGNORECASE)
OTHERS: Final = re.compile(
    r"\*?(?:sent|date|to|subject|cc|gesendet|datum|an|betreff|envoyé|à|objet|enviado|para|asunto|assunto|inviato|oggetto"
    r"|verzonden|aan|onderwerp|skickat|till|ämne|отправлено|кому|тема|发送时间|日期|收件人|主题|日時|宛先|件名)\s?[:：]",
    re.IGNORECASE,
)
"""The block that Outlook puts over a quoted mail: a sender, and at least two more of its fields."""
LONGEST_SIGNATURE: Final = 10
"""Lines under a bare `--`; more of them are no signature."""


def alone(text: str) -> str:
    """Return the reply; all of it when nothing else would be left."""
    lines = text.split("\n")
    kept = _unsigned(_unquoted(lines))
    found = "\n".join(kept).strip()
    return found or "\n".join(_unsigned(lines)).strip() or text.strip()


def _unquoted(lines: Sequence[str]) -> list[str]:
    """Leave out quotes: everything after a divider, and each line behind `>` with the line that introduces them."""
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if line.startswith(">"):
            at += 1
        elif _divides(lines, at, line):
            break
        elif length := _attributes(lines, at, line):
            if not _quotes(lines, at + length):
                break
            at += length
        else:
            kept.append(lines[at])
            at += 1
    return kept


def _divides(lines: Sequence[str], at: int, line: str) -> bool:
    """Tell whether all that follows is the quoted mail."""
    if DIVIDERS.fullmatch(line):
        return not line.startswith("_") or _heads(lines, at + 1)
    return bool(FROM.match(line)) and _heads(lines, at)


def _heads(lines: Sequence[str], at: int) -> bool:
    """Tell whether a block of header fields comes next."""
    block = [line.strip() for line in lines[at : at + 8] if line.strip()]
    return bool(block and FROM.match(block[0])) and sum(bool(OTHERS.match(line)) for line in block[1:6]) >= 2


def _attributes(lines: Sequence[str], at: int, line: str) -> int:
    """Return how many lines from here say whose words follow; 0 when none do."""
    if len(line) > LONGEST_ATTRIBUTION:
        return 0
    if line.endswith((":", "：")) and ATTRIBUTIONS.fullmatch(line):
        return 1
    if not OPENINGS.match(line):
        return 0
    for length in (2, 3):
        joined = " ".join(each.strip() for each in lines[at : at + length])[: LONGEST_ATTRIBUTION + 1]
        if joined.endswith((":", "：")) and ATTRIBUTIONS.fullmatch(joined):
            return length
    return 0


def _quotes(lines: Sequence[str], at: int) -> bool:
    """Tell whether the next line with something on it is behind `>`."""
    return next((line.strip().startswith(">") for line in lines[at : at + 5] if line.strip()), False)


def _unsigned(lines: Sequence[str]) -> list[str]:
    """Leave out the signature: what follows two dashes and a space, or two dashes when it is short."""
    for at, line in enumerate(lines):
        if line == "-- " or (line.rstrip() == "--" and len(lines) - at <= LONGEST_SIGNATURE + 1):
            return list(lines[:at])
    return list(lines)
