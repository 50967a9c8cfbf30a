"""Templates of answers: `{name}` is replaced plainly, in one pass, so that what people write is never a template."""

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
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
