"""What a text says about time, by the grammar of its language."""

from dragoman.plugins import phrases
from dragoman.when import chinese, english
from dragoman.when.names import Language
from dragoman.when.spec import Found


def language_of(text: str) -> Language:
    """Tell the language in which a text is read and answered."""
    return "zh" if phrases.is_chinese(text) else "en"


def find(text: str) -> Found | None:
    """Find a time in a text; None when it has none, or two."""
    return chinese.find(text) if language_of(text) == "zh" else english.find(text)
