"""Looks for cycles among errors: whoever shows an error follows its causes, and must come to an end."""

from collections.abc import Iterator

__all__ = ["find_cycle", "refuse_cycle"]


def _leads_to(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield what an error holds, whether or not a traceback would show it."""
    for name in ("__cause__", "__context__"):
        held = getattr(error, name)
        if held is not None:
            yield name, held
    if isinstance(error, BaseExceptionGroup):
        for number, held in enumerate(error.exceptions):
            yield f"exceptions[{number}]", held


def find_cycle(error: BaseException) -> list[str] | None:
    """Return the way that leads from an error back to one on it, or `None` where every way ends."""
    done = set[int]()
    way = list[str]()
    open_errors = set[int]()

    def visit(one: BaseException) -> bool:
        if id(one) in open_errors:
            return True
        if id(one) in done:
            return False
        open_errors.add(id(one))
        for name, held in _leads_to(one):
            way.append(f"{type(one).__name__}.{name}")
            if visit(held):
                return True
            way.pop()
        open_errors.discard(id(one))
        done.add(id(one))
        return False

    return way if visit(error) else None


def refuse_cycle(error: BaseException) -> None:
    """Fail unless every way from an error ends."""
    way = find_cycle(error)
    assert way is None, f"{type(error).__name__}: {' -> '.join(way or ())} leads back"
