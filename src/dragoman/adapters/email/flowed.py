"""Lines that were broken for the wire, joined again (RFC 3676, `format=flowed`)."""

SIGNATURE = "-- "


def unwrap(text: str, *, delete_space: bool) -> str:
    """Join a line that ends in a space with the next one of the same quote; `delete_space` is `delsp=yes`."""
    result: list[str] = []
    open_depth = -1  # the quote depth of a paragraph that goes on; -1: none does
    paragraph: list[str] = []
    for raw in text.split("\n"):
        content = raw.lstrip(">")
        depth = len(raw) - len(content)
        line = content.removeprefix(" ")
        if open_depth != depth or line == SIGNATURE:
            result += _ended(paragraph, open_depth)
            paragraph = []
        flows = line.endswith(" ") and line != SIGNATURE
        paragraph.append(line[:-1] if flows and delete_space else line)
        open_depth = depth
        if not flows:
            result += _ended(paragraph, depth)
            paragraph, open_depth = [], -1
    return "\n".join(result + _ended(paragraph, open_depth))


def _ended(paragraph: list[str], depth: int) -> list[str]:
    """Return a paragraph as one line; none when there is none."""
    if not paragraph:
        return []
    line = "".join(paragraph)
    return [f"{'>' * depth} {line}" if depth > 0 else line]
