"""A text as words with their places: what the English parsers read."""

import re
from collections.abc import Iterable
from typing import Final

from dragoman.model import Value
from dragoman.when.english.vocabulary import LONG_WORDS, PARTS, PLURALS, TYPOS

_TOKEN: Final = re.compile(r"[0-9]+|[^\W\d_]+(?:'[^\W\d_]+)*|\S")
_OPAQUE: Final = re.compile(r"\S+://\S+|\S+@\S+\.\S+|\"[^\"\n]*\"|“[^”\n]*”")
"""Addresses and quotations: a time inside them is not ours."""

_MARKS: Final = set('"\u201c@:')


_PLAIN: Final = {0x2019: "'", 0x3000: " "} | {0xFF01 + place: chr(0x21 + place) for place in range(94)}
"""One letter for one: the typographic apostrophe, and full-width forms."""


class Token(Value):
    """A word, a run of digits or a sign; `glued` where no space is before it."""

    word: str
    start: int
    end: int
    glued: bool
    number: int | None = None
    opaque: bool = False


class Words(Value):
    """The words of a text; beyond its ends there are empty ones."""

    text: str
    tokens: tuple[Token, ...]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.tokens)

    def word(self, index: int) -> str:
        """Return a word in lower case, spelt right."""
        return self.tokens[index].word if 0 <= index < len(self.tokens) else ""

    def number(self, index: int) -> int | None:
        """Return a run of digits as a number; None for anything else."""
        return self.tokens[index].number if 0 <= index < len(self.tokens) else None

    def digits(self, index: int) -> int:
        """Return how many digits a number has; 0 for anything else."""
        token = self.tokens[index] if 0 <= index < len(self.tokens) else None
        return token.end - token.start if token and token.number is not None else 0

    def glued(self, index: int) -> bool:
        """Tell whether a word follows the one before without a space."""
        return 0 < index < len(self.tokens) and self.tokens[index].glued

    def says(self, index: int, *phrase: str) -> int | None:
        """Return the index after a phrase that stands here; None where it does not."""
        for offset, word in enumerate(phrase):
            if self.word(index + offset) != word:
                return None
        return index + len(phrase)


Phrases = dict[str, tuple[tuple[str, ...], ...]]


def by_first(phrases: Iterable[tuple[str, ...]]) -> Phrases:
    """Index phrases by their first word, in their order."""
    index: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in phrases:
        index[phrase[0]] = (*index.get(phrase[0], ()), phrase)
    return index


def split(text: str) -> Words:
    """Split a text into words."""
    plain = text.translate(_PLAIN)
    opaque = (
        {place for match in _OPAQUE.finditer(plain) for place in range(*match.span())} if _MARKS & set(plain) else set()
    )
    tokens: list[Token] = []
    end = -1
    for match in _TOKEN.finditer(plain):
        word = match[0].lower()
        start = match.start()
        tokens.append(
            Token(
                word=_right(word),
                start=start,
                end=match.end(),
                glued=start == end,
                number=int(word) if word.isascii() and word.isdigit() and len(word) <= 9 else None,
                opaque=start in opaque,
            )
        )
        end = match.end()
    return Words(text=text, tokens=tuple(tokens))


def _right(word: str) -> str:
    """Spell a word right: known slips, and one wrong letter in a long word of the calendar."""
    if word in TYPOS:
        return TYPOS[word]
    if 7 <= len(word) <= 10 and word not in LONG_WORDS and word not in PLURALS and word not in PARTS:
        return next((right for right in LONG_WORDS if _one_slip(word, right)), word)
    return word


def _one_slip(word: str, right: str) -> bool:
    """Tell whether a word is another with one letter missing, doubled, wrong or swapped."""
    if word[0] != right[0] or abs(len(word) - len(right)) > 1:
        return False
    head = next((at for at, (one, other) in enumerate(zip(word, right, strict=False)) if one != other), len(word))
    if len(word) == len(right):
        swapped = word[head : head + 2] == right[head : head + 2][::-1] and word[head + 2 :] == right[head + 2 :]
        return swapped or word[head + 1 :] == right[head + 1 :]
    longer, shorter = (word, right) if len(word) > len(right) else (right, word)
    return longer[head + 1 :] == shorter[head:]
