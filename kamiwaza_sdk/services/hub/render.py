"""Plans for people: tables for terminals and notebooks, and a plot of the memory of a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._display import Cell, Table, counted, facts, first_rows, new_figure, shown_size
from kamiwaza_sdk._validation import Size
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.memory import estimate_memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kamiwaza_sdk.formats.schemas import MemoryEstimateSchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanFileSchema, PlanSchema


_BYTES: Final = TypeAdapter(Size)


def checked_size(value: object, *, field: str) -> int | None:
    """Return a number of bytes, given as a number or a text such as ``8 GiB``.

    Raises:
        InvalidInputException: It is neither.
    """
    try:
        return None if value is None else _BYTES.validate_python(value)
    except ValidationError:
        reason = f"is {value!r}; give a number of bytes, or a text such as '8 GiB'"
        raise InvalidInputException(field, reason) from None


def tables_of(plan: "PlanSchema") -> list[Table]:
    """Return the tables of a plan: facts, variants, files and violations."""
    variants = [
        (_mark(plan, one.name), one.name, one.format, shown_size(one.size), _memory(one.memory))
        for one in plan.variants
    ]
    lacking = [(one.name, one.missing[0], f"{len(one.missing)}") for one in plan.layout.incomplete]
    against = [(one.path or "the model", one.reason, one.rule) for one in plan.violations]
    return [
        facts(_facts(plan)),
        _table(("", "variant", "format", "size", "memory"), variants if len(variants) > 1 else (), numbers=(3,)),
        _table(("incomplete", "lacks", "files"), lacking, numbers=(2,)),
        _table(("file", "size", "", "format", ""), [_file(file) for file in plan.files], numbers=(1,)),
        _table(("left out", "because it"), [(one.path, one.reason) for one in plan.left_out]),
        _table(("violation", "", "rule"), against),
        _table(("no model", ""), [(one.path, one.reason) for one in plan.faults]),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, numbers: Sequence[int] = ()) -> Table:
    return Table(head, first_rows(rows, len(rows)), numbers=frozenset(numbers))


def _file(file: "PlanFileSchema") -> tuple[str, ...]:
    here = "here" if file.kept else ""
    return file.path, shown_size(file.size), here, file.format or "", _inside(file.verdict, file.dtype)


def _mark(plan: "PlanSchema", name: str) -> str:
    return "*" if name == plan.choice else "default" if plan.choice is None and name == plan.layout.default else ""


def _inside(*words: str | None) -> str:
    return ", ".join(word for word in words if word)


def _facts(plan: "PlanSchema") -> dict[str, str | None]:
    details = plan.details
    by_dtype = ", ".join(f"{dtype} {count:,}" for dtype, count in plan.parameters_by_dtype.items())
    return {
        "source": plan.source,
        "revision": plan.revision,
        "license": plan.license,
        "formats": ", ".join(plan.formats),
        "architecture": details.architecture,
        "parameters": f"{details.parameters:,} ({by_dtype})" if details.parameters else details.parameters_problem,
        "stored": f"{details.stored_elements:,} elements" if details.stored_elements else None,
        "quantization": details.quantization,
        "context": f"{plan.context_length:,} tokens" if plan.context_length else None,
        "size": f"{shown_size(plan.size)} in {counted(len(plan.files), 'file')}",
        "to fetch": f"{shown_size(plan.bytes_to_fetch)} ({shown_size(plan.bytes_kept)} are here)",
        "memory": _memory(plan.memory),
        "choice": plan.choice,
        "because": plan.reason,
        "default": None if plan.choice else plan.layout.default or plan.layout.reason,
        "notes": "; ".join(plan.layout.notes),
    }


def _memory(memory: "MemoryEstimateSchema | None") -> str:
    if memory is None:
        return ""
    parts = [f"{shown_size(memory.weights)} of weights"]
    if memory.companions:
        parts.append(f"{shown_size(memory.companions)} of companions")
    if memory.cache or memory.state:
        cache = f"{shown_size((memory.cache or 0) + (memory.state or 0))} of cache"
        parts.append(f"{cache} for {memory.context_length:,} tokens in {memory.cache_dtype}")
    if memory.total is None:
        return f"{', '.join(parts)}, the rest unknown"
    return parts[0] if len(parts) == 1 else f"{shown_size(memory.total)}: {', '.join(parts)}"


_GIB: Final = 1024**3
_STEPS: Final = 64
_SHORTEST: Final = 8192
#: Of Okabe and Ito, told apart by who sees fewer colours: https://jfly.uni-koeln.de/color/.
_COLOURS: Final = ("#0072B2", "#E69F00", "#56B4E9")


def plot_memory(plan: "PlanSchema", *, limit: int | str | None = None, longest: int | None = None) -> "Figure":
    """Draw the memory of a plan's model against the length of its context: weights, companions and cache.

    Args:
        plan: The result of `HubService.plan`; its choice is drawn, or else its default.
        limit: The available memory, in bytes or as ``8 GiB``, drawn as a line.
        longest: The longest context to draw, in tokens. Default: the length that the model was trained for, or 8,192.

    Returns:
        The figure of matplotlib, which notebooks show, and which has ``savefig``.

    Raises:
        MissingDependencyException: matplotlib is not installed: it comes with the extra ``plots``.
        InvalidInputException: The plan does not tell what the model takes, or an argument is of a wrong kind.

    Example:
        >>> plan = asyncio.run(hub.plan("hf://org/minilm"))
        >>> try:
        ...     figure = plot_memory(plan, limit="1 GiB")
        ... except (InvalidInputException, MissingDependencyException) as error:
        ...     figure = None  # this model does not tell how many layers it has
    """
    require("matplotlib", extra="plots")
    memory = _checked_memory(plan)
    most = checked_size(limit, field="limit")
    longest = (plan.context_length or _SHORTEST) if longest is None else longest
    if type(longest) is not int or longest < 1:
        raise InvalidInputException("longest", f"is {longest!r}; give a number of tokens, from 1 on")
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    tokens = sorted({max(1, longest * step // _STEPS) for step in range(_STEPS + 1)})
    estimates = [_estimated(plan, memory, count) for count in tokens]
    parts = {
        "weights": [(estimate.weights or 0) / _GIB for estimate in estimates],
        "companions": [estimate.companions / _GIB for estimate in estimates],
        "cache": [((estimate.cache or 0) + (estimate.state or 0)) / _GIB for estimate in estimates],
    }
    shown = {name: sizes for name, sizes in parts.items() if any(sizes)}
    colours = [colour for name, colour in zip(parts, _COLOURS, strict=True) if name in shown]
    axes.stackplot(tokens, list(shown.values()), labels=list(shown), colors=colours)
    if most is not None:
        axes.axhline(most / _GIB, color="black", linestyle="--", label=f"limit of {most / _GIB:.1f} GiB")
    axes.set(xlim=(0, longest), xlabel="tokens of context", ylabel="GiB", title=_title(plan, memory))
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="upper left")
    return figure


def _checked_memory(plan: object) -> "MemoryEstimateSchema":
    from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema  # here: it imports errors, which show sizes

    if not isinstance(plan, PlanSchema):
        raise InvalidInputException("plan", f"is of kind {type(plan).__name__}; give what HubService.plan() returned")
    if plan.memory is None:
        raise InvalidInputException("plan", f"has no size to draw, because {plan.layout.reason}")
    if plan.memory.total is None:
        raise InvalidInputException("plan", f"has no cache to draw, because {plan.memory.reason}")
    return plan.memory


def _estimated(plan: "PlanSchema", memory: "MemoryEstimateSchema", tokens: int) -> "MemoryEstimateSchema":
    return estimate_memory(
        plan.details,
        context_length=tokens,
        cache_dtype=memory.cache_dtype,
        runtime=memory.runtime,
        companions=memory.companions,
    )


def _title(plan: "PlanSchema", memory: "MemoryEstimateSchema") -> str:
    shown = "".join(character if character.isprintable() else "?" for character in plan.details.variant or "")
    # A dollar sign would begin a formula.
    name = f"{plan.manifest.name}, {shown[:80]}".replace("$", r"\$")
    return f"{name}, in {memory.runtime}"
