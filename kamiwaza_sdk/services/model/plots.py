"""A picture of which versions were made from which."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._display import new_figure
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema

if TYPE_CHECKING:
    from uuid import UUID

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["plot_lineage"]

_MOST: Final = 200
_LONGEST_NAME: Final = 40
_WIDTH, _HEIGHT = 2.4, 0.8
_BOX: Final = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "#0072B2", "linewidth": 1.2}
_RELATION: Final = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
_ARROW: Final = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 2, "shrinkB": 2}


def plot_lineage(versions: Iterable[ModelVersionSchema]) -> "Figure":
    """Draw versions and what each was made from: the oldest on the left, an arrow from each parent, with the relation.

    Parents that are not among the versions are not drawn.

    Args:
        versions: At most 200, in any order: a version, its ancestors and its descendants.

    Returns:
        The figure of matplotlib, which notebooks show, and which has ``savefig``.

    Raises:
        MissingDependencyException: matplotlib is not installed: it comes with the extra ``plots``.
        InvalidInputException: There is no version, there are over 200, or one is of another kind.

    Example:
        >>> family = [version, *(models.get_version(one.version_id) for one in models.list_ancestors(version.id))]
        >>> try:
        ...     figure = plot_lineage(family)
        ... except MissingDependencyException:
        ...     figure = None
    """
    known = _checked(versions)
    require("matplotlib", extra="plots")
    places = _places(known)
    columns = max(x for x, _ in places.values()) + 1
    top = max(abs(y) for _, y in places.values()) + 0.6
    figure = new_figure(_WIDTH * max(columns, 1.5), 2 * _HEIGHT * top)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-top, top))
    axes.axis("off")
    boxes = {one.id: _box(axes, one, places[one.id]) for one in known.values()}
    for version in known.values():
        for parent in version.derived_from:
            if parent.version_id in known:
                _arrow(axes, boxes[parent.version_id], boxes[version.id], parent.relation)
    return figure


def _checked(versions: Iterable[ModelVersionSchema]) -> "dict[UUID, ModelVersionSchema]":
    given = list(versions)
    if wrong := [type(one).__name__ for one in given if not isinstance(one, ModelVersionSchema)]:
        raise InvalidInputException("versions", f"has a {wrong[0]}; give what get_version() returns")
    if not 0 < len(given) <= _MOST:
        raise InvalidInputException("versions", f"are {len(given)}; give 1 to {_MOST}")
    return {version.id: version for version in sorted(given, key=lambda version: version.id)}


def _places(known: "dict[UUID, ModelVersionSchema]") -> "dict[UUID, tuple[float, float]]":
    """Return where each stands: in a column to the right of all of its parents, the columns centred."""
    columns: dict[UUID, int] = {}
    for identifier in _parents_first(known):
        parents = [columns[one] for one in _parents(known[identifier], known)]
        columns[identifier] = max(parents, default=-1) + 1
    places: dict[UUID, tuple[float, float]] = {}
    for column in set(columns.values()):
        members = [identifier for identifier, own in columns.items() if own == column]
        places |= {one: (column, (len(members) - 1) / 2 - row) for row, one in enumerate(members)}
    return places


def _parents(version: ModelVersionSchema, known: "dict[UUID, ModelVersionSchema]") -> "list[UUID]":
    return [parent.version_id for parent in version.derived_from if parent.version_id in known]


def _parents_first(known: "dict[UUID, ModelVersionSchema]") -> "Iterable[UUID]":
    """Yield all, each after its parents: the registry holds no cycles."""
    done: set[UUID] = set()
    for start in known:
        waiting: Sequence[UUID] = [start]
        while waiting:
            *rest, last = waiting
            lacking = [one for one in _parents(known[last], known) if one not in done]
            waiting = [*waiting, *lacking] if lacking else rest
            if not lacking and last not in done:
                done.add(last)
                yield last


def _box(axes: "Axes", version: ModelVersionSchema, place: tuple[float, float]) -> "Text":
    return axes.text(*place, _label(version), ha="center", va="center", fontsize=9, bbox=_BOX, zorder=2)


def _arrow(axes: "Axes", parent: "Text", child: "Text", relation: str) -> None:
    since, to = parent.get_position(), child.get_position()
    ends = {"patchA": parent.get_bbox_patch(), "patchB": child.get_bbox_patch()}
    axes.annotate("", xy=to, xytext=since, arrowprops={**_ARROW, **ends}, zorder=3)
    middle = (since[0] + to[0]) / 2, (since[1] + to[1]) / 2
    axes.text(*middle, relation, ha="center", va="center", fontsize=7, bbox=_RELATION, zorder=4)


def _label(version: ModelVersionSchema) -> str:
    name = "".join(character if character.isprintable() else "?" for character in version.model_name)
    cut = name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME:]}"
    aliases = f"\n@{', @'.join(version.aliases)}" if version.aliases else ""
    # A dollar sign would begin a formula.
    return f"{cut}:{version.number}{aliases}".replace("$", r"\$")
