"""What transfers cost, each in a process of its own, all by turns."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.ratio import Ratio

__all__ = ["ROUNDS", "Cost", "Costs", "by_turns", "command", "cpu", "ratio", "seconds", "transfer"]

ROUNDS: Final = 7
REPOSITORY: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Cost:
    """Seconds, seconds of processors, and the most memory in bytes."""

    seconds: float
    cpu: float = 0.0
    peak: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu, max(self.peak, other.peak))


#: Of each contestant, for every round.
Costs = Mapping[str, list[Cost]]


def transfer(name: str, *, environment: Mapping[str, str] | None = None, **arguments: object) -> Cost:
    """Run a function of `tests.benchmarks.transferring`."""
    program = [sys.executable, "-m", "tests.benchmarks.transferring", name, json.dumps(arguments)]
    told = subprocess.check_output(program, cwd=REPOSITORY, env={**os.environ, **(environment or {})})
    return Cost(**json.loads(told))


def command(*programs: list[str | Path]) -> Cost:
    """Run programs, one after the other."""
    started = time.perf_counter()
    for program in programs:
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    return Cost(time.perf_counter() - started)


def by_turns(contestants: Mapping[str, Callable[[], Cost]], *, rounds: int = ROUNDS) -> Costs:
    """Run all by turns, and whoever began a round comes last in the next."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            costs[name].append(contestants[name]())
        order = [*order[1:], order[0]]
    return costs


def seconds(costs: Costs, name: str) -> tuple[float, float]:
    """Return the least and the median of the seconds of one."""
    taken = [cost.seconds for cost in costs[name]]
    return min(taken), statistics.median(taken)


def cpu(costs: Costs, name: str) -> tuple[float, float]:
    """Return the least and the median of the seconds of processors of one."""
    taken = [cost.cpu for cost in costs[name]]
    return min(taken), statistics.median(taken)


def ratio(ours: tuple[float, float], *floors: tuple[float, float]) -> Ratio:
    """Return how ours compare with the dearest of the floors."""
    return Ratio(ours[0], max(least for least, _ in floors), ours[1], max(middle for _, middle in floors))
