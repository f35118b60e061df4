"""Draws the documentation's pictures as SVG, from text, with nothing but the standard library.

``conf.py`` makes two directives of the two functions. The pictures take the colours of the page around them, light or
dark. What else draws such pictures needs JavaScript in the reader's browser (Mermaid), Java (PlantUML), a program apart
from Python (Graphviz), or Pillow as it was before version 10 (seqdiag).
"""

import re
from collections.abc import Iterable
from html import escape
from itertools import pairwise
from textwrap import wrap

__all__ = ["draw_house", "draw_sequence"]

_MESSAGE = re.compile(r"(\w[^:]*?) (-->|->) (\w[^:]*?): (.+)")
_ARROW = re.compile(r"(\S.*) -> (\S.*)")
#: Of a letter of average width, at the size of the text: fonts differ by about a tenth.
_LETTER, _LINE = 6.9, 17
_MARGIN, _GAP, _STEP, _BOX = 8, 90, 40, 34
#: Of a picture of boxes: as wide as the text of a page, and what is between two rows.
_WIDTH, _BETWEEN = 720, 34


def draw_sequence(text: str, *, title: str) -> str:
    """Return a sequence diagram: a column for each participant, in the order in which they are first named.

    Args:
        text: A message a line: ``A -> B: call``, or ``A --> B: answer``, which is dashed.
        title: What it shows, for those who do not see it; they are read the messages, too.

    Raises:
        ValueError: A line is no message.

    Example:
        >>> draw_sequence("Host -> Service: get_model(id)", title="A call").count("marker-end")
        1
    """
    messages = [(line, _MESSAGE.fullmatch(line)) for line in _lines(text)]
    if wrong := [line for line, match in messages if match is None]:
        raise ValueError(f"no message: {wrong[0]!r}; write 'A -> B: text' or 'A --> B: text'")
    calls = [match.groups() for _, match in messages if match is not None]
    names = list(dict.fromkeys(name for source, _, target, _ in calls for name in (source, target)))
    columns = _columns(names, [(names.index(a), names.index(b), words) for a, _, b, words in calls])
    height = _BOX + _STEP * len(calls) + 2 * _MARGIN + _STEP // 2
    parts = [f'<path class="faint" d="M{x:.0f} {_BOX + _MARGIN}V{height - _MARGIN}"/>' for x in columns]
    for name, x in zip(names, columns, strict=True):
        half = _width(name) / 2 + 14
        parts += [_box(x - half, _MARGIN, 2 * half, _BOX), _text(x, _MARGIN + 22, name, "name")]
    for row, (source, arrow, target, words) in enumerate(calls, 1):
        y, start, end = _MARGIN + _BOX + row * _STEP, columns[names.index(source)], columns[names.index(target)]
        kind = "answer" if arrow == "-->" else "call"
        if source == target:
            parts.append(f'<path class="{kind}" d="M{start:.0f} {y - 12}h22v14H{start + 3:.0f}" {_HEAD}/>')
            parts.append(_text(start + 30, y - 1, words, "left"))
        else:
            tip = end - 3 if end > start else end + 3
            parts.append(f'<path class="{kind}" d="M{start:.0f} {y}H{tip:.0f}" {_HEAD}/>')
            parts.append(_text((start + end) / 2, y - 6, words))
    own = [columns[names.index(a)] + 40 + _width(words) for a, _, b, words in calls if a == b]
    return _svg(max(columns[-1] + _width(names[-1]) / 2 + 20, *own, 0), height, parts, title, _lines(text))


def draw_house(text: str, *, title: str) -> str:
    r"""Return boxes in rows, with arrows from upper ones to lower ones.

    Args:
        text: A line for each row, ``a | b | b``: the columns of the row, where equal neighbours are one box, ``.`` is
            none, and ``(a)`` is drawn dashed. Then what the boxes say, ``a: words``, and the arrows, ``a -> b``.
        title: What it shows, for those who do not see it; they are read the lines, too.

    Raises:
        ValueError: An arrow or a text is of a box that is in no row, or leads upwards.

    Example:
        >>> draw_house("model | model\nhub | store\nmodel: asks\nmodel -> hub", title="Two rows").count("<rect")
        3
    """
    lines = _lines(text)
    arrows = [match.groups() for line in lines if (match := _ARROW.fullmatch(line))]
    words = dict(line.split(": ", 1) for line in lines if ": " in line)
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if " -> " not in line and ": " not in line]
    boxes = dict[str, tuple[float, float, float, float]]()
    parts, y = list[str](), float(_MARGIN)
    for row in rows:
        width = (_WIDTH - 2 * _MARGIN) / len(row)
        spans = {cell: row.count(cell) * width - 12 for cell in row if cell != "."}
        said = {cell: wrap(words.get(cell.strip("()"), ""), int((span - 16) / _LETTER)) for cell, span in spans.items()}
        height = 30 + _LINE * max(map(len, said.values()))
        for cell, span in spans.items():
            x = _MARGIN + 6 + row.index(cell) * width
            boxes[cell.strip("()")] = (x, y, span, height)
            parts.append(_box(x, y, span, height, "outside" if cell.startswith("(") else "box"))
            parts.append(_text(x + span / 2, y + 20, cell.strip("()"), "name"))
            parts += [_text(x + span / 2, y + 20 + _LINE * n, line) for n, line in enumerate(said[cell], 1)]
        y += height + _BETWEEN
    if unknown := {*words, *(name for arrow in arrows for name in arrow)} - boxes.keys():
        raise ValueError(f"in no row: {sorted(unknown)[0]!r}; rows come first, a line each: 'a | b | b'")
    parts += [_down(boxes, *arrow) for arrow in arrows]
    return _svg(_WIDTH, y - _BETWEEN + _MARGIN, parts, title, lines)


def _down(boxes: dict[str, tuple[float, float, float, float]], source: str, target: str) -> str:
    """Return an arrow from one box down to another: straight where one is above the other."""
    (x, y, width, height), (x2, y2, width2, _) = boxes[source], boxes[target]
    if y2 < y + height:
        raise ValueError(f"{source!r} is not above {target!r}; an arrow leads down")
    left, right = max(x, x2), min(x + width, x2 + width2)
    start = end = (left + right) / 2
    if left > right:
        start, end = (x + 24, x2 + width2 - 24) if x2 < x else (x + width - 24, x2 + 24)
    return f'<path class="call" d="M{start:.0f} {y + height:.0f}L{end:.0f} {y2 - 3:.0f}" {_HEAD}/>'


def _columns(names: list[str], messages: Iterable[tuple[int, int, str]]) -> list[float]:
    """Return where the columns stand, each as far from the last as names and messages between them need."""
    gaps = [max(_GAP, (_width(a) + _width(b)) / 2 + 36) for a, b in pairwise(names)] + [float(_GAP)]
    for first, last, words in sorted(messages, key=lambda message: abs(message[0] - message[1])):
        low, high = sorted((first, last)) if first != last else (first, first + 1)
        lacking = _width(words) + (24 if first != last else 44) - sum(gaps[low:high])
        if high < len(names):
            gaps[low:high] = [gap + max(0, lacking) / (high - low) for gap in gaps[low:high]]
    left = _MARGIN + _width(names[0]) / 2 + 14
    return [left + sum(gaps[:index]) for index in range(len(names))]


_HEAD = 'marker-end="url(#head)"'
_STYLE = """<style>
.diagram { font: 12px sans-serif; max-width: 100%; height: auto; color: inherit }
.diagram text { fill: currentColor; text-anchor: middle; stroke: none }
.diagram .name { font-weight: bold; font-size: 13px }
.diagram .left { text-anchor: start }
.diagram rect { fill: currentColor; fill-opacity: .06; stroke: currentColor }
.diagram path { fill: none; stroke: currentColor }
.diagram .faint { stroke-opacity: .35 }
.diagram .answer, .diagram .outside { stroke-dasharray: 5 4 }
.diagram .outside { fill-opacity: 0 }
.diagram marker path { fill: currentColor; stroke: none }
</style>"""
_MARKER = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z"/></marker></defs>'
)


def _svg(width: float, height: float, parts: list[str], title: str, lines: list[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    told = f"<title>{escape(title)}</title><desc>{escape('; '.join(lines))}</desc>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" role="img" {size}>'
    return "\n".join([head, told, _STYLE, _MARKER, *parts, "</svg>"])


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _width(words: str) -> float:
    return len(words) * _LETTER


def _box(x: float, y: float, width: float, height: float, kind: str = "box") -> str:
    return f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="4"/>'


def _text(x: float, y: float, words: str, kind: str = "words") -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'
