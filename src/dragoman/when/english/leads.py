"""What people say around a reminder: "please remind me to", "thanks". None of it is part of the task."""

from typing import Final

from dragoman.when.english import amounts
from dragoman.when.english.repetition import ADVERBS
from dragoman.when.english.tokens import Words, by_first
from dragoman.when.english.vocabulary import WEEKDAYS

_LEADS: Final = by_first(
    tuple(phrase.split())
    for phrase in (
        "don't let me forget",
        "do not let me forget",
        "don't forget to remind me",
        "don't forget",
        "make sure i",
        "remind me",
        "remind to me",
        "reminding me",
        "remember me",
        "tell me",
        "note to self",
        "remind us",
        "remindme",
        "reminder",
        "alarm",
        "timer",
        "remember",
        "wake me up",
        "wake me",
        "alert me",
        "alert us",
        "notify me",
        "notify us",
        "ping me",
        "ping us",
        "nudge me",
        "buzz me",
        "let me know",
        "lemme know",
        "gimme a reminder",
        "give me a reminder",
        "give me a nudge",
        "i need a reminder",
        "i want a reminder",
        "i need to remember",
        "send me a reminder",
    )
)
_NOUNS: Final = {("reminder",), ("alarm",), ("timer",)}
_ONLY_WITH_TO: Final = {"remember", "don't"}
_TELL: Final = {("tell", "me"), ("remember", "me")}
_CHORES: Final = {
    "call",
    "text",
    "email",
    "buy",
    "get",
    "take",
    "go",
    "pay",
    "do",
    "send",
    "pick",
    "drink",
    "eat",
    "feed",
}
"""After "remind me 2" these make a "to" of the number."""
_THINGS: Final = {"reminder", "reminders", "alarm", "timer", "alert", "notification"}
_MAKERS: Final = {"set", "create", "add", "make", "schedule", "start", "put", "new"}
_POLITE: Final = by_first(
    tuple(phrase.split())
    for phrase in (
        "can you please",
        "could you please",
        "would you please",
        "would you mind",
        "will you please",
        "can you",
        "could you",
        "would you",
        "will you",
        "i need you to",
        "i want you to",
        "i would like you to",
        "i'd like you to",
        "i need to be reminded",
        "i want to be reminded",
        "i would like to be reminded",
        "i'd like to be reminded",
        "thank you very much",
        "thank you so much",
        "thank you",
        "thanks a lot",
        "many thanks",
        "thanks",
        "cheers",
        "please",
        "kindly",
        "yo",
        "hey there",
        "hi there",
        "hello there",
        "hey bot",
        "hi bot",
        "hello bot",
        "hey",
        "hi",
        "hello",
        "ok",
        "okay",
    )
)


def lead(words: Words, index: int) -> int | None:
    """Return the index after "remind me" and its like; None where none stands."""
    for phrase in _LEADS.get(words.word(index), ()):
        end = words.says(index, *phrase)
        if end is None:
            continue
        if phrase in _NOUNS:
            return _reminder(words, index, end)
        if phrase in _TELL:
            return end if words.word(end) == "to" else None
        if phrase[0] in _ONLY_WITH_TO and len(phrase) < 3 and words.word(end) not in {"to", "that", "about", ":"}:
            return None
        return end + 1 if words.word(end) == "2" and words.word(end + 1) in _CHORES else end
    return _made(words, index)


def polite(words: Words, index: int) -> int | None:
    """Return the index after "please", "thanks", "can you"; None where none stands."""
    for phrase in _POLITE.get(words.word(index), ()):
        if (end := words.says(index, *phrase)) is not None:
            return end
    return None


def _reminder(words: Words, index: int, end: int) -> int | None:
    """Read "reminder:", "reminder to", "alarm 6am" where the text begins with it."""
    after = words.word(end)
    known = after in {":", "-", "to", "for", "that", "about", "in", "at", "on", "every", "tomorrow", "tonight"}
    return end if index == 0 and (known or words.number(end) is not None or after in WEEKDAYS) else None


def _made(words: Words, index: int) -> int | None:
    """Read "set a reminder", "create me an alarm", "set another timer for me"."""
    if words.word(index) not in _MAKERS:
        return None
    end = index + 1
    for skipped in (
        {"up", "in"},
        {"me", "us"},
        {"a", "an", "another", "the", "my", "one"},
        {"new", "quick", "recurring", *ADVERBS},
    ):
        if words.word(end) in skipped:
            end += 1
    if (found := amounts.amounts(words, end)) is not None and words.word(found[1]) in _THINGS:
        return end  # "set a 10 minute timer"
    if words.word(end) not in _THINGS:
        return None
    return words.says(end + 1, "for", "me") or end + 1
