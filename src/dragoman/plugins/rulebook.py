"""A rule book: the rules of a YAML file, checked and compiled once, and looked up by what was said."""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import regex  # type: ignore[import-untyped]  # it ships no types
import yaml

from dragoman.errors import PluginError
from dragoman.plugins import phrases
from dragoman.text import templates

TRIGGERS: Final = ("match", "contains", "regex")
KEYS: Final = (*TRIGGERS, "answer", "buttons")
PLACEHOLDERS: Final = ("name", "text", "time", "date", "zone")
LONGEST: Final = 2_000
"""Characters of a message that are looked at: rules answer short questions."""
SEARCH_SECONDS: Final = 0.05
SLOW_SEARCHES: Final = 3
"""Searches of one message that may run out of their time; then nobody waits for the rest."""
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Localised:
    """One thing in English and in Chinese."""

    en: Any
    zh: Any

    def of(self, text: str) -> Any:
        """Return it in the language of a text."""
        return self.zh if phrases.is_chinese(text) else self.en


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What to answer, and the buttons under it."""

    answer: Localised
    buttons: Localised = Localised(en=(), zh=())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Book:
    """Compiled rules: exact phrases by name, the others in the order of the file."""

    exact: Mapping[str, Rule]
    contains: Sequence[tuple[str, Rule]]
    patterns: Sequence[tuple[Any, Rule]]

    def find(self, said: str) -> Rule | None:
        """Return the rule for what was said: an exact phrase, else a contained one, else a pattern."""
        if len(said) <= LONGEST and (rule := self.exact.get(phrases.normalise(said))):
            return rule
        head = said[:LONGEST]
        level = phrases.normalise(head)
        contained = (rule for part, rule in self.contains if part in level)
        return next(contained, None) or self._search(head)

    def _search(self, text: str) -> Rule | None:
        slow = 0
        for pattern, rule in self.patterns:
            try:
                if pattern.search(text, timeout=SEARCH_SECONDS):
                    return rule
            except TimeoutError:
                slow += 1
                if slow == SLOW_SEARCHES:
                    return None
        return None


class Wrong(Exception):
    """One key of a rule is wrong."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")


def read(path: Path) -> Book:
    """Read a file of rules; raises `PluginError` with the file, the rule's number, the key and the reason."""
    try:
        return compiled(_list_of(yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)))  # noqa: S506 - the safe loader, in C
    except OSError as error:
        raise PluginError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PluginError(f"{path}: is not UTF-8") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-13-45 is a ValueError
        raise PluginError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except Wrong as error:
        raise PluginError(f"{path}: {error}") from error


def compiled(rules: Sequence[Any]) -> Book:
    """Check and compile rules; of two rules with the same phrase the first counts."""
    exact: dict[str, Rule] = {}
    contains: list[tuple[str, Rule]] = []
    patterns: list[tuple[Any, Rule]] = []
    for number, given in enumerate(rules, start=1):
        try:
            rule = _rule(given)
            for phrase in _phrases(given, "match"):
                exact.setdefault(phrase, rule)
            contains += [(part, rule) for part in _phrases(given, "contains")]
            patterns += [(_pattern(text), rule) for text in _texts(given, "regex")]
        except Wrong as error:
            raise Wrong(f"rule {number}", str(error)) from error
    return Book(exact=exact, contains=contains, patterns=patterns)


def _list_of(document: Any) -> list[Any]:
    if document is None:
        return []
    if not isinstance(document, list):
        raise Wrong("the file", "should be a list of rules, each beginning with `- `")
    return document


def _rule(given: Any) -> Rule:
    if not isinstance(given, dict):
        raise Wrong("it", "should have keys such as `match` and `answer`")
    for key in given:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            raise Wrong(str(key), f"is no key (did you mean {near[0]}?)" if near else f"is no key of {', '.join(KEYS)}")
    if not any(key in given for key in TRIGGERS):
        raise Wrong("match", "is missing, and so are contains and regex: nothing leads to this rule")
    if "answer" not in given:
        raise Wrong("answer", "is required and missing")
    return Rule(answer=_localised(given, "answer", _answer), buttons=_localised(given, "buttons", _buttons))


def _localised(given: Mapping[str, Any], key: str, check: Callable[[Any, str], Any]) -> Localised:
    """Read a value that is the same in both languages, or a mapping with `en` and `zh`."""
    value = given.get(key)
    if not isinstance(value, dict):
        both = check(value, key)
        return Localised(en=both, zh=both)
    if set(value) != {"en", "zh"}:
        raise Wrong(
            key, f"should be one text, or have exactly en and zh (it has {', '.join(map(str, value)) or 'none'})"
        )
    return Localised(en=check(value["en"], f"{key}.en"), zh=check(value["zh"], f"{key}.zh"))


def _answer(value: Any, key: str) -> str:
    text = _text(value, key).strip()
    if not text:
        raise Wrong(key, "is empty")
    try:
        templates.check(text, PLACEHOLDERS)
    except ValueError as error:
        raise Wrong(key, str(error)) from error
    return text


def _buttons(value: Any, key: str) -> tuple[str, ...]:
    return tuple(_each(value, key)) if value is not None else ()


def _texts(given: Mapping[str, Any], key: str) -> list[str]:
    return list(_each(given[key], key)) if key in given else []


def _each(value: Any, key: str) -> Iterator[str]:
    """Yield one text, or every text of a list."""
    for item in value if isinstance(value, list) else [value]:
        text = _text(item, key)
        if not text.strip():
            raise Wrong(key, "has an empty text")
        yield text


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise Wrong(key, f"{value!r} should be a text (put it in quotes)")
    return value


def _phrases(given: Mapping[str, Any], key: str) -> Iterator[str]:
    for text in _texts(given, key):
        phrase = phrases.normalise(text)
        if not phrase:
            raise Wrong(key, f"{text!r} is only punctuation")
        yield phrase


def _pattern(text: str) -> Any:
    try:
        return regex.compile(text, regex.IGNORECASE)
    except regex.error as error:
        raise Wrong("regex", f"{text!r} is no regular expression: {error}") from error
