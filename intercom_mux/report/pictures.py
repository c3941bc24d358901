"""The pictures of a report as inline SVG: graph, sequence, bars over time. Pure; colours come from the page's style."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intercom_mux.report.words import escaped, moment, one_line, span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from intercom_mux.report.model import Entry, Line, Span

NAME_CHARS = 18
_COLUMN = 150
_ROW = 36
_HEAD = 34


def graph(names: Sequence[str], lines: Sequence[Line], title: str) -> str:
    """Draw everybody on a circle, a line for what went from one to another, thicker for more."""
    radius = max(110, 14 * len(names))
    width, height = 2 * radius + 260, 2 * radius + 90
    place = {
        name: (width / 2 + radius * math.sin(angle), height / 2 - radius * math.cos(angle))
        for index, name in enumerate(names)
        for angle in [2 * math.pi * index / len(names)]
    }
    most = max((line.messages for line in lines), default=1)
    drawn = [_curve(place[line.sender], place[line.receiver], line, most) for line in lines]
    nodes = [
        f'<g><circle cx="{x:.0f}" cy="{y:.0f}" r="9" class="node"/><text x="{x:.0f}" y="{y - 14:.0f}" class="name">'
        f"{_name(name)}</text></g>"
        for name, (x, y) in place.items()
    ]
    return _svg(width, height, title, [_ARROW, *drawn, *nodes])


def _curve(begin: tuple[float, float], end: tuple[float, float], line: Line, most: int) -> str:
    told = escaped(f"{line.sender} → {line.receiver}: {line.messages}")
    thickness = 1 + 4 * math.log1p(line.messages) / math.log1p(most)
    if begin == end:
        x, y = begin
        path = f"M{x - 8:.0f} {y + 6:.0f}C{x - 40:.0f} {y + 46:.0f} {x + 40:.0f} {y + 46:.0f} {x + 9:.0f} {y + 9:.0f}"
        label = x, y + 46
    else:
        (x1, y1), (x2, y2) = begin, end
        length = math.hypot(x2 - x1, y2 - y1)
        along, across = ((x2 - x1) / length, (y2 - y1) / length), ((y1 - y2) / length, (x2 - x1) / length)
        bend = min(44.0, length / 5)
        middle = (x1 + x2) / 2 + across[0] * bend, (y1 + y2) / 2 + across[1] * bend
        tip = x2 - along[0] * 14 + across[0] * 5, y2 - along[1] * 14 + across[1] * 5
        path = f"M{x1:.0f} {y1:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {tip[0]:.0f} {tip[1]:.0f}"
        label = (x1 + x2 + 2 * middle[0]) / 4, (y1 + y2 + 2 * middle[1]) / 4 + 4
    return (
        f'<g><title>{told}</title><path d="{path}" class="line" stroke-width="{thickness:.1f}" marker-end="url(#tip)"/>'
        f'<text x="{label[0]:.0f}" y="{label[1]:.0f}" class="count">{line.messages:,}</text></g>'
    )


def sequence(entries: Sequence[Entry], order: Sequence[str], zone: tzinfo, title: str) -> str:
    """Draw messages as arrows between the lines of those who take part, time going down, replies joined to asks."""
    involved = {name for entry in entries for name in (entry.sender, entry.receiver)}
    column = {name: 130 + index * _COLUMN for index, name in enumerate(name for name in order if name in involved)}
    row = {entry.number: _HEAD + 30 + index * _ROW for index, entry in enumerate(entries)}
    width, height = 210 + len(column) * _COLUMN, _HEAD + 30 + len(entries) * _ROW
    parts = [_ARROW]
    for name, x in column.items():
        parts.append(
            f'<path d="M{x} {_HEAD}V{height - 8}" class="life"/><text x="{x}" y="22" class="name">{_name(name)}</text>'
        )
    for entry in entries:
        if entry.answered_by in row:
            top, bottom = row[entry.number], row[entry.answered_by]
            x = column[entry.receiver]
            parts.append(f'<rect x="{x - 5}" y="{top}" width="10" height="{bottom - top}" class="wait"/>')
    parts += [_arrow(entry, column[entry.sender], column[entry.receiver], row[entry.number], zone) for entry in entries]
    return _svg(width, height, title, parts)


def _arrow(entry: Entry, begin: int, end: int, y: int, zone: tzinfo) -> str:
    if begin == end:
        path, place = f"M{begin} {y - 6}h26v12h-22", f'x="{begin + 32}" y="{y + 4}" class="said own"'
    else:
        path = f"M{begin} {y}H{end - 4 if end > begin else end + 4}"
        place = f'x="{(begin + end) // 2}" y="{y - 6}" class="said"'
    label = f"{entry.number} {one_line(entry.text, 30)}"
    if entry.kind == "ask" and entry.answered_by is None:
        label += f" · {entry.outcome}"
    took = f'<tspan class="took"> · after {span(entry.waited_ms)}</tspan>' if entry.answers else ""
    return (
        f'<g class="{entry.kind}"><text x="4" y="{y + 4}" class="at">{moment(entry.at, zone, is_short=True)}</text>'
        f'<path d="{path}" class="arrow" marker-end="url(#tip)"/>'
        f"<text {place}>{escaped(label)}{took}</text></g>"
    )


def bars(rows: Sequence[tuple[str, Sequence[Span], str]], begin: int, end: int, zone: tzinfo, title: str) -> str:
    """Draw per row (name, spans, words at its end) what it did over time, from `begin` to `end`."""
    left, width, length = 150, 640, max(1, end - begin)
    height = 30 * len(rows) + 40
    parts = []
    for index, (name, spans, words) in enumerate(rows):
        y = 8 + index * 30
        parts.append(f'<text x="{left - 8}" y="{y + 14}" class="row">{_name(name)}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{width}" height="20" class="none"/>')
        for one in spans:
            x = left + width * (one.begin - begin) / length
            wide = max(3, width * (one.end - one.begin) / length)
            told = escaped(f"{one.what}: {moment(one.begin, zone)}, {span(one.end - one.begin)}")
            kind = escaped(one.what)
            box = f'x="{x:.1f}" y="{y}" width="{wide:.1f}" height="20"'
            parts.append(f'<rect {box} class="do-{kind}"><title>{told}</title></rect>')
        parts.append(f'<text x="{left + width + 8}" y="{y + 14}" class="end">{escaped(one_line(words, 24))}</text>')
    y = height - 12
    parts.append(f'<text x="{left}" y="{y}" class="tick">{moment(begin, zone)}</text>')
    parts.append(f'<text x="{left + width}" y="{y}" class="tick last">{moment(end, zone)}</text>')
    return _svg(left + width + 170, height, title, parts)


_ARROW = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
    ' markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>'
)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return f'<svg {size} role="img" aria-label="{escaped(title)}">{"".join(parts)}</svg>'


def _name(name: str) -> str:
    return escaped(one_line(name, NAME_CHARS))
