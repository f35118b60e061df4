"""How a ratio is measured: ours and its floor by turns, in one process, the least of each.

A machine that others use as well is never quiet; but what disturbs only ever adds time, to either side alike when they
take turns. So the least of many rounds comes closest to the truth.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from pytest_benchmark.fixture import BenchmarkFixture

__all__ = ["Ratio", "check", "measure"]


@dataclass(frozen=True)
class Ratio:
    """Seconds of ours and of the floor: the least, and the median, of all rounds."""

    ours: float
    floor: float
    ours_median: float
    floor_median: float

    @property
    def least(self) -> float:
        """What is promised."""
        return self.ours / self.floor


def _seconds(function: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls


def measure(ours: Callable[[], object], floor: Callable[[], object], *, rounds: int, calls: int = 1) -> Ratio:
    """Run both by turns, and whoever began a round comes second in the next."""
    ours(), floor()
    pairs: list[tuple[float, float]] = []
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            if number % 2:
                first = _seconds(ours, calls)
                pairs.append((first, _seconds(floor, calls)))
            else:
                first = _seconds(floor, calls)
                pairs.append((_seconds(ours, calls), first))
    finally:
        gc.enable()
    mine, theirs = zip(*pairs, strict=True)
    return Ratio(min(mine), min(theirs), statistics.median(mine), statistics.median(theirs))


def check(benchmark: BenchmarkFixture, ratio: Ratio, ours: Callable[[], object], *, at_most: float) -> None:
    """Report a ratio beside pytest-benchmark's own figures, and hold it to what is promised."""
    benchmark.extra_info.update(
        ratio=round(ratio.least, 3),
        ratio_of_medians=round(ratio.ours_median / ratio.floor_median, 3),
        floor_seconds=ratio.floor,
        at_most=at_most,
    )
    print(  # noqa: T201 - what a benchmark is for
        f"\n{benchmark.name}: {ratio.ours * 1e3:.3f} ms, floor {ratio.floor * 1e3:.3f} ms: "
        f"{ratio.least:.3f} times (medians {ratio.ours_median / ratio.floor_median:.3f}), at most {at_most}"
    )
    benchmark.pedantic(ours, rounds=3, iterations=1)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types here
    assert ratio.least <= at_most
