"""How objects show themselves: one line for ``repr``, tables of plain text for terminals and of HTML for notebooks."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pydantic.fields import FieldInfo

_BASE: Final = 1024
_MOST_ROWS: Final = 20
_LONGEST_CELL: Final = 300
_LONGEST_VALUE: Final = 60
_MOST_SHOWN: Final = 3
#: A line has so many facts, or so many characters: what comes later in a schema tells less.
_MOST_FACTS: Final = 8
_LONGEST_LINE: Final = 180
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
#: The names of fields that are numbers of bytes.
_BYTES: Final = re.compile(r"(\w+_)?(size|bytes)(_\w+)?")
#: A cell of so few characters stays on one line in a notebook: a time, a size, a digest.
_SHORT_CELL: Final = 20
_DIGITS_OF_DIGEST: Final = 12
_TABLE: Final = "border-collapse: collapse; margin: 0 0 0.8em 0; font-size: 90%"
_HEAD: Final = "border-bottom: 1px solid currentColor; padding: 0.1em 0.6em; font-weight: 600; text-align: "
_CELL: Final = "padding: 0.1em 0.6em; vertical-align: top; text-align: "
_HEADING: Final = "margin: 0.4em 0 0.2em 0; font-weight: 600"


class Cell(NamedTuple):
    """A cell of a table that shows less than there is.

    Attributes:
        text: What is shown.
        title: The whole, which a notebook shows where the pointer rests.
    """

    text: str
    title: str


class Table(NamedTuple):
    """Rows for people to read.

    Attributes:
        head: The name of each column; empty where they need none.
        rows: As many cells each as there are names. Texts of strangers may be in them.
        heading: What the table is of.
        numbers: The columns that are aligned to the right.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    heading: str = ""
    numbers: frozenset[int] = frozenset()


def shown_size(size: int | None) -> str:
    """Return a number of bytes for people to read."""
    if size is None:
        return "unknown"
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < _BASE:
            return f"{size} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= _BASE
    return f"{number:.1f} TiB"


def counted(number: int, noun: str) -> str:
    """Return a number of things, with the noun in the form that goes with it."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown_time(moment: datetime | None) -> str:
    """Return a moment in UTC, to the minute."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def shown_shape(shape: Sequence[object] | None) -> str:
    """Return the dimensions of a tensor."""
    return "unknown" if shape is None else " x ".join("?" if size is None else str(size) for size in shape)


def cut_digest(digest: str | None) -> Cell:
    """Return a digest cut to what tells two apart, with the whole as title."""
    return Cell((digest or "")[:_DIGITS_OF_DIGEST], digest or "")


def short_digest(digest: str) -> str:
    """Return the digits of a digest that tell two apart."""
    return digest[:_DIGITS_OF_DIGEST]


def facts(named: Mapping[str, object], *, heading: str = "") -> Table:
    """Return a table of names and what is known under them; what is unknown or empty is left out."""
    rows = [(name, value if isinstance(value, Cell) else str(value)) for name, value in named.items() if _says(value)]
    return Table(("", ""), rows, heading)


def _says(value: object) -> bool:
    return bool(value.text) if isinstance(value, Cell) else value is False or value == 0 or bool(value)


def joined(pairs: Mapping[str, object]) -> str:
    """Return keys and values as one text, long values cut."""
    return ", ".join(f"{key}={_cut(str(value))}" if _says(value) else key for key, value in pairs.items())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _brief(name: str, value: object) -> object:
    """Return what a line says of a value: of a large collection its length, of a text what tells it from others."""
    if isinstance(value, Mapping | list | tuple):
        return _few(value) or len(value)
    if isinstance(value, str):
        return short_digest(value) if _DIGEST.fullmatch(value) else _cut(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return shown_size(value) if _BYTES.fullmatch(name) else value
    return shown_time(value) if isinstance(value, datetime) else _cut(str(value))


def _short(value: object) -> object:
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, Collection) and (len(value) > _MOST_FACTS or len(repr(value)) > _LONGEST_VALUE):
        return len(value)
    return value


def _few(values: Collection[object]) -> str:
    """Return the only value of a collection, or a few short ones; empty where there are more."""
    if (
        isinstance(values, Mapping)
        or len(values) > _MOST_SHOWN
        or not all(isinstance(one, str | int) for one in values)
    ):
        return ""
    text = ", ".join(map(str, values))
    return text if len(text) <= _LONGEST_VALUE else ""


def first_rows(
    rows: Iterable[Sequence[str | Cell]], count: int, *, most: int = _MOST_ROWS
) -> list[Sequence[str | Cell]]:
    """Return the first of `count` rows, and a row that says how many more there are."""
    shown: list[Sequence[str | Cell]] = list(islice(rows, most))
    if count > len(shown):
        shown.append((f"and {count - len(shown):,} more", *("" for _ in shown[0][1:])))
    return shown


class Displayed:
    """A Pydantic model that ``repr``, `str` and f-strings show in one line, and notebooks as tables."""

    __slots__ = ()

    def _summary(self) -> dict[str, object]:
        """Return what the line says, by name; what is under an empty name comes first and without one.

        Unless a schema says it better, these are its first fields that are known and not what they are by default.
        """
        fields: Mapping[str, FieldInfo] = getattr(type(self), "model_fields", {})
        told = ((name, getattr(self, name, None), field.default) for name, field in fields.items() if field.repr)
        known = ((name, value) for name, value, default in told if _says(value) and value != default)
        return {name: _brief(name, value) for name, value in islice(known, _MOST_FACTS)}

    def _tables(self) -> Iterable[Table]:
        """Return what notebooks show."""
        return (facts({name: value for name, value in self._summary().items() if name}, heading=self._subject()),)

    def _subject(self) -> str:
        return str(self._summary().get("", type(self).__name__))

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        length = 0
        for name, value in self._summary().items():
            if length <= _LONGEST_LINE and (not name or _says(value)):
                told = _short(value)
                length += len(name) + len(repr(told))
                yield name or None, told

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return as_html(self._tables())


class Listed(Displayed):
    """A displayed model that is a row where several are shown."""

    __slots__ = ()

    @classmethod
    def _columns(cls) -> Table:
        """Return the table without rows."""
        raise NotImplementedError

    def _cells(self) -> Sequence[str | Cell]:
        """Return its row."""
        raise NotImplementedError


def listed(items: Sequence[Listed], *, heading: str = "", most: int = _MOST_ROWS) -> Table:
    """Return the table of the first of several, all of one class."""
    columns = type(items[0])._columns() if items else Table((), ())
    rows = first_rows((item._cells() for item in items), len(items), most=most)
    return columns._replace(rows=rows, heading=heading)


def without_empty(table: Table) -> Table:
    """Return a table without those columns in which no row says anything."""
    kept = [column for column in range(len(table.head)) if any(_text(row[column]) for row in table.rows)]
    rows = [[row[column] for column in kept] for row in table.rows]
    numbers = frozenset(place for place, column in enumerate(kept) if column in table.numbers)
    return table._replace(head=[table.head[column] for column in kept], rows=rows, numbers=numbers)


def as_text(tables: Iterable[Table]) -> str:
    """Return tables as lines of text. Names of strangers are shown without what steers a terminal."""
    return "\n\n".join("\n".join(_lines(table)) for table in tables if table.rows or table.heading)


def _lines(table: Table) -> list[str]:
    rows = [[_text(cell) for cell in row] for row in ([table.head] if any(table.head) else []) + list(table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_plain(table.heading)] if table.heading else []
    for row in rows:
        cells = (
            cell.rjust(width) if column in table.numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return lines


def _text(cell: str | Cell) -> str:
    return _plain(cell.text if isinstance(cell, Cell) else cell)


def _plain(text: str) -> str:
    shown = "".join(character if character.isprintable() else _instead(character) for character in text)
    return shown if len(shown) <= _LONGEST_CELL else f"{shown[: _LONGEST_CELL - 1]}…"


def _instead(character: str) -> str:
    """Return what stands for a character that ends a line, or steers a terminal."""
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


def as_html(tables: Iterable[Table]) -> str:
    """Return tables as HTML, every text of strangers escaped, in the colours of the page that shows them."""
    return "\n".join(_html(table) for table in tables if table.rows or table.heading)


def _html(table: Table) -> str:
    # Not a caption: notebooks centre it, and readers of screens read it as a part of each cell.
    heading = f'<div style="{_HEADING}">{escape(_plain(table.heading))}</div>' if table.heading else ""
    if not table.rows:
        return heading
    head = f"<thead>{_row(table.head, table, 'th')}</thead>" if any(table.head) else ""
    body = "".join(_row(row, table, "td") for row in table.rows)
    return f'{heading}<table style="{_TABLE}">{head}<tbody>{body}</tbody></table>'


def _row(cells: Sequence[str | Cell], table: Table, tag: str) -> str:
    style = _HEAD if tag == "th" else _CELL
    parts = []
    for column, cell in enumerate(cells):
        title = f' title="{escape(_plain(cell.title))}"' if isinstance(cell, Cell) else ""
        side = "right" if column in table.numbers else "left"
        wrap = "white-space: nowrap" if len(_text(cell)) <= _SHORT_CELL else "overflow-wrap: anywhere"
        parts.append(f'<{tag} style="{style}{side}; {wrap}"{title}>{escape(_text(cell))}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"


def new_figure(width: float, height: float) -> "Figure":
    """Return a figure of matplotlib that a notebook shows, whether or not pyplot was imported. Blocks by an import."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            self.savefig(picture := BytesIO(), format="png", dpi=144)
            return picture.getvalue()

    return ShownFigure(figsize=(width, height), layout="constrained")
