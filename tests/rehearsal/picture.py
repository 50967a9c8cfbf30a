"""A rehearsal as a picture: four curves over one time, written as SVG by hand."""

import math
from collections.abc import Callable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from tests.rehearsal.report import Moment, Report

WIDTH: Final = 860
LEFT: Final = 70
RIGHT: Final = 20
TOP: Final = 74
PANEL: Final = 92
GAP: Final = 34
PANELS: Final[tuple[tuple[str, str, Callable[[Moment], float]], ...]] = (
    ("messages a second", "#2563a6", lambda moment: moment.rate),
    ("replicas that take requests (dashed: wanted)", "#2f7d4f", lambda moment: moment.ready),
    ("processor time, % of the request (dashed: target)", "#b35c00", lambda moment: moment.usage),
    ("p99 until the reply, ms", "#8a3f8f", lambda moment: moment.p99_ms),
)


def drawn(report: Report) -> str:
    """Draw a report."""
    height = TOP + len(PANELS) * (PANEL + GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 22, _headline(report), size=15),
        _text(LEFT, 40, report.machine, fill="#666666"),
        _text(LEFT, 56, _circumstances(report), fill="#666666"),
    ]
    for number, (title, colour, value) in enumerate(PANELS):
        parts += _panel(report, TOP + number * (PANEL + GAP), title, colour, value)
    parts += [_text(_x(report, at), height - 12, f"{at} s", anchor="middle") for at in _marks(report.seconds)]
    return "\n".join([*parts, "</svg>", ""])


def _headline(report: Report) -> str:
    return (
        f"{report.sent} messages, {report.lost} lost, {report.twice} answered twice; "
        f"{report.least} to {max(moment.ready for moment in report.moments)} replicas; p99 {report.p99_ms:.0f} ms"
    )


def _circumstances(report: Report) -> str:
    return (
        f"a replica asks for {report.requested * 1000:.0f}m, a turn takes {report.toil_ms:.0f} ms; "
        f"the autoscaler is {report.times:g} times as fast; the harness took {report.stretch:.1f} times its work"
    )


def _panel(report: Report, top: int, title: str, colour: str, value: Callable[[Moment], float]) -> list[str]:
    values = [value(moment) for moment in report.moments]
    dashed: list[float] = []
    if "wanted" in title:
        dashed = [float(moment.wanted) for moment in report.moments]
    if "target" in title:
        dashed = [report.target for _ in report.moments]
    most = _round_up(max([*values, *dashed, 1]))
    base = top + 20 + PANEL - 20
    lines = [_text(LEFT, top + 10, title, fill=colour)]
    for share in (0, 0.5, 1):
        y = base - share * (PANEL - 20)
        lines.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        lines.append(_text(LEFT - 8, y + 4, f"{most * share:g}", anchor="end"))
    if dashed:
        lines.append(_curve(report, dashed, most, base, "#999999", dash="4 4"))
    return [*lines, _curve(report, values, most, base, colour)]


def _curve(report: Report, values: Sequence[float], most: float, base: float, colour: str, dash: str = "") -> str:
    """Draw steps: a value holds from the moment before to its own."""
    path, before = "", 0.0
    for moment, value in zip(report.moments, values, strict=True):
        y = base - value / most * (PANEL - 20)
        path += f"{'L' if path else 'M'}{_x(report, before):.1f} {y:.1f}H{_x(report, moment.at):.1f}"
        before = moment.at
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}/>'


def _x(report: Report, at: float) -> float:
    return LEFT + at / report.seconds * (WIDTH - LEFT - RIGHT)


def _marks(seconds: float) -> range:
    return range(0, math.floor(seconds) + 1, 30 if seconds <= 300 else 60)


def _round_up(value: float) -> float:
    """Return the next number that is easily read: 1, 2, 4, 5 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= value)


def _text(x: float, y: float, words: str, *, fill: str = "#222222", anchor: str = "start", size: int = 12) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" fill="{fill}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {place}>{escape(words)}</text>"
