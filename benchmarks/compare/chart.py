"""The comparison as a picture: one panel of bars for each measure, as an SVG written by hand."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from benchmarks.compare import report

PANELS: Final[Sequence[tuple[str, str]]] = (
    ("replies_per_second", "replies a second, 64 in flight (more is better)"),
    ("cpu_us", "CPU microseconds per message (less is better)"),
    ("p99_ms_200", "p99 in ms at 200 messages a second (less is better)"),
    ("p99_ms_1000", "p99 in ms at 1,000 messages a second (less is better)"),
)
COLOURS: Final = ("#2b6cb0", "#718096", "#a0aec0", "#cbd5e0")
WIDTH: Final = 720
NAMES: Final = 110
BAR: Final = 22
GAP: Final = 6
HEAD: Final = 30
FOOT: Final = 44


def svg(result: Mapping[str, Any]) -> str:
    """Draw a result."""
    medians = result["medians"]
    panel = HEAD + len(medians) * (BAR + GAP) + GAP
    height = len(PANELS) * panel + FOOT
    parts = [
        _panel(number * panel, title, {n: row[name] for n, row in medians.items()})
        for number, (name, title) in enumerate(PANELS)
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13">'
    )
    title = "<title>Dragoman beside a naive handler and slack-bolt</title>"
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, title, ground, *parts, *_foot(result, height), "</svg>", ""])


def _panel(top: int, title: str, values: Mapping[str, float]) -> str:
    most = max(*values.values(), 1e-9)
    lines = [f'<text x="12" y="{top + 22}" font-weight="600" fill="#1a202c">{escape(title)}</text>']
    for at, (name, value) in enumerate(values.items()):
        y = top + HEAD + at * (BAR + GAP)
        long = max(1.0, value / most * (WIDTH - NAMES - 100))
        lines += [
            f'<text x="{NAMES - 8}" y="{y + 15}" text-anchor="end" fill="#1a202c">{escape(name)}</text>',
            f'<rect x="{NAMES}" y="{y}" width="{long:.1f}" height="{BAR}" rx="2" fill="{COLOURS[at % len(COLOURS)]}"/>',
            f'<text x="{NAMES + long + 6:.1f}" y="{y + 15}" fill="#1a202c">{_value(value)}</text>',
        ]
    return "\n".join(lines)


def _value(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _foot(result: Mapping[str, Any], height: int) -> list[str]:
    where, how = report.circumstances(result)
    return [
        f'<text x="12" y="{height - 26}" font-size="11" fill="#4a5568">{escape(where)}</text>',
        f'<text x="12" y="{height - 10}" font-size="11" fill="#4a5568">{escape(how)}</text>',
    ]
