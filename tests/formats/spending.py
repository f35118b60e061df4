"""Measures a call in a process of its own: seconds of CPU, and memory over that before."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Spent", "main", "spent_by"]

_MIB: Final = 1024**2


class Spent(NamedTuple):
    """What it took: seconds of CPU, bytes over the baseline at the peak, and what came of it."""

    seconds: float
    memory: int
    outcome: str


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def main(call: Callable[[], object]) -> None:
    """Run a call, once all that it imports is there, and print what it took."""
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _peak(), time.process_time()
    outcome = str(call())
    print(json.dumps([time.process_time() - started, _peak() - before, outcome]))  # noqa: T201 - for the parent


def spent_by(module: str, *arguments: str, patience: float = 120) -> Spent:
    """Return what a module's ``main`` took."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Spent(*json.loads(done.stdout.splitlines()[-1]))
