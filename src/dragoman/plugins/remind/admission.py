"""Which messages are reminders: a call to the bot ("remind me", "提醒我"), or a task with its time and nothing else.

To take what was none costs trust, so a call counts only where a request stands: at the beginning, after a time, or
after a few polite words. `english` and `chinese` know the words.
"""

import re
from types import ModuleType
from typing import Final, Literal

import msgspec

from dragoman.model import Value
from dragoman.plugins import phrases
from dragoman.plugins.remind import chinese, english
from dragoman.plugins.remind.drafts import bare_every
from dragoman.when import words
from dragoman.when.spec import Found

LONGEST: Final = 600
"""Characters of a message that may be a reminder without a command."""

Kind = Literal["call", "hint", "bare"]

_CLAUSE: Final = re.compile(r".*[.!?。！？\n,，;；]", re.DOTALL)
_AROUND: Final = " \t\n,，.。!！;；:：~"
_THANKS: Final = re.compile(r"[\s,，]*(?:please|pls|thanks|thank you|thx|谢谢|多谢)?[\s.!。！~]*$", re.IGNORECASE)


class Wish(Value):
    """A message that wants a reminder."""

    kind: Kind
    """`call`: it says so, with a time or without; `hint`: with a time it says so; `bare`: a task with its time."""
    found: Found | None
    what: str
    """The task; where no time was found, what follows the call."""
    vague: bool = False
    """Whether it may well ask for something else: "remind me of what we said yesterday"."""
    again: bool = False
    """Whether it may speak of the reminder that came just now: "再过15分钟提醒我"."""


def read(text: str, *, direct: bool) -> Wish | None:
    """Tell what a message wants of the reminders; None when it is none of theirs."""
    said = text.strip()
    if not said or len(said) > LONGEST:
        return None
    language = chinese if phrases.is_chinese(said) else english
    for call in language.CALL.finditer(said):
        before = said[: call.start()]
        if _is_request(before, language) or (language.UNTIMED.fullmatch(before) and not said.endswith("了")):
            return _called(said, call.end(), language)
    hint = language.HINT.search(said)
    if hint and _is_request(said[: hint.start()], language) and not language.TOLD.search(said):
        found = words.find(said)
        again = found is not None and _again(found, said, language)
        return Wish(kind="hint", found=found, what=found.what, again=again) if found else None
    return _bare(said, language) if direct else None


def _is_request(before: str, language: ModuleType) -> bool:
    """Tell whether a call after these words is meant for the bot."""
    clause = _CLAUSE.sub("", before)
    if language.REQUEST.fullmatch(before) or (clause != before and language.REQUEST.fullmatch(clause)):
        return True
    found = words.find(before.strip(_AROUND))
    if found is None:
        return False
    if language.REQUEST.fullmatch(f"{found.what} "):
        return True
    return language is chinese and before.rstrip(_AROUND).endswith(found.what) and not _somebody(found.what, language)


def _somebody(what: str, language: ModuleType) -> bool:
    return bool(language.PEOPLE.search(what))


def _called(said: str, end: int, language: ModuleType) -> Wish | None:
    rest = said[end:]
    vague = bool(language.VAGUE.search(rest))
    if language.TOLD.search(said):
        return None
    if found := words.find(said) or _early(said, language):
        again = _again(found, said, language)
        return Wish(kind="call", found=found, what=_without_call(found.what, language), vague=vague, again=again)
    what = language.AFTER_CALL.sub("", rest, count=1).strip(_AROUND + "?？")
    return None if vague else Wish(kind="call", found=None, what=what)


def _again(found: Found, said: str, language: ModuleType) -> bool:
    """Tell whether a length of time is all that is said: "再过15分钟提醒我", "10分钟后再叫我"."""
    spec = found.spec
    alone = not found.what and bool(spec.after) and not (spec.day or spec.clock or spec.every)
    return alone and bool(language.AGAIN.search(said))


def _early(said: str, language: ModuleType) -> Found | None:
    """Read a time that is so much before another: "I have a meeting at 3pm, remind me 10 minutes before"."""
    early = language.EARLY.search(said)
    span = words.find(f"in {early['span']}") if early else None
    found = words.find(said[: early.start()] + said[early.end() :]) if early else None
    if span is None or found is None or found.spec.clock is None or found.spec.every or found.spec.after:
        return None
    before = tuple(msgspec.structs.replace(amount, count=-amount.count) for amount in span.spec.after)
    return Found(spec=msgspec.structs.replace(found.spec, after=before), what=found.what)


def _without_call(what: str, language: ModuleType) -> str:
    """Take the call off a task, where the grammar of another language found the time: "提醒我 tomorrow 5pm 喝水"."""
    call = language.CALL.match(what)
    return language.AFTER_CALL.sub("", what[call.end() :], count=1).strip() if call else what


def _bare(said: str, language: ModuleType) -> Wish | None:
    """Read a whole message that is a task with its time: the time stands at one end, and is a clock time or a rule."""
    said = _THANKS.sub("", said)
    if "\n" in said or language.QUESTION.search(said):
        return None
    found = words.find(said)
    if found is None or not found.what or not _definite(found, said, language):
        return None
    leading, trailing = said.endswith(found.what), said.startswith(found.what)
    if leading and said.removesuffix(found.what).rstrip().endswith("的"):
        return None
    if not leading and language is chinese and said.removeprefix(found.what)[:1] not in _AROUND:
        return None
    if not (leading or trailing) or not language.is_task(found.what, leading=leading):
        return None
    return Wish(kind="bare", found=found, what=found.what)


def _definite(found: Found, said: str, language: ModuleType) -> bool:
    """Tell whether the time is one that a statement rarely has: a rule, or a clock time."""
    spec = found.spec
    if spec.every is not None:
        return not bare_every(spec.every) or spec.clock is not None or spec.every.unit == "hour"
    return spec.clock is not None and not spec.after and bool(language.EXPLICIT.search(said))
