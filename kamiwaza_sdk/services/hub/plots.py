"""Draws what a planned model takes in memory."""

from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._validation import Size
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.memory import estimate_memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kamiwaza_sdk.formats.schemas import MemoryEstimateSchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema


_GIB: Final = 1024**3
_STEPS: Final = 64
_SHORTEST: Final = 8192
_SIZE: Final = TypeAdapter(Size)
#: Of Okabe and Ito, told apart by who sees fewer colours: https://jfly.uni-koeln.de/color/.
_COLOURS: Final = ("#0072B2", "#E69F00", "#56B4E9")


def plot_memory(plan: "PlanSchema", *, limit: int | str | None = None, longest: int | None = None) -> "Figure":
    """Draw what the model of a plan takes over the length of its context: weights, companions and cache.

    Args:
        plan: What `HubService.plan` returned: of its choice, or else of its default.
        limit: The memory there is, in bytes or as ``8 GiB``: drawn as a line.
        longest: The longest context to draw, in tokens. Default: what the model was trained for, or 8,192.

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
    from matplotlib.figure import Figure

    memory = _known(plan)
    most = _size(limit)
    longest = (plan.context_length or _SHORTEST) if longest is None else longest
    if type(longest) is not int or longest < 1:
        raise InvalidInputException("longest", f"is {longest!r}; give a number of tokens, from 1 on")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    tokens = sorted({max(1, longest * step // _STEPS) for step in range(_STEPS + 1)})
    estimates = [_estimate(plan, memory, count) for count in tokens]
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


def _known(plan: object) -> "MemoryEstimateSchema":
    from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema  # here: it imports errors, which show sizes

    if not isinstance(plan, PlanSchema):
        raise InvalidInputException("plan", f"is of kind {type(plan).__name__}; give what HubService.plan() returned")
    if plan.memory is None:
        raise InvalidInputException("plan", f"has no size to draw, because {plan.layout.reason}")
    if plan.memory.total is None:
        raise InvalidInputException("plan", f"has no cache to draw, because {plan.memory.reason}")
    return plan.memory


def _estimate(plan: "PlanSchema", memory: "MemoryEstimateSchema", tokens: int) -> "MemoryEstimateSchema":
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


def _size(limit: object) -> int | None:
    try:
        return None if limit is None else _SIZE.validate_python(limit)
    except ValidationError:
        reason = f"is {limit!r}; give a number of bytes, or a text such as '8 GiB'"
        raise InvalidInputException("limit", reason) from None
