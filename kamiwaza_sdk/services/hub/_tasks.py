"""Several coroutines at once, of which the first error counts."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

__all__ = ["all_or_first_error"]

_T = TypeVar("_T")


async def all_or_first_error(coroutines: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Run all at once; at the first error cancel the others, wait for them, and raise it bare."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
