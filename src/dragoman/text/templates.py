"""Templates of answers: `{name}` is replaced plainly, in one pass, so that what people write is never a template."""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]\w*)\}")


def check(template: str, names: Iterable[str]) -> None:
    """Raise `ValueError` when a template has a placeholder that is none of these names."""
    known = tuple(names)
    for name in PLACEHOLDER.findall(template):
        if name not in known:
            valid = ", ".join(f"{{{each}}}" for each in known)
            raise ValueError(f"{{{name}}} is no placeholder (valid: {valid})")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put the values in; what is in braces and has no value stays as it is."""
    pieces = list(_pieces(template))
    for place in range(1, len(pieces), 2):
        name = pieces[place]
        pieces[place] = values.get(name, f"{{{name}}}")
    return "".join(pieces)


@functools.lru_cache(maxsize=256)
def _pieces(template: str) -> tuple[str, ...]:
    """Cut a template: text and name in turn."""
    return tuple(PLACEHOLDER.split(template))
