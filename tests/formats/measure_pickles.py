"""Counts files that are mistaken for pickles, and pickles that are not recognised: ``nox -s oracles``.

The corpus: every file in the wheels of `PACKAGES`, and random numbers.
"""

import collections
import io
import pickletools
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kamiwaza_sdk import FormatException, inspect_file
from kamiwaza_sdk.formats import PickleSchema, UnknownFormatException
from tests.formats.fuzz_pickles import inspect_in_memory

__all__ = ["PACKAGES", "random_files", "told"]

#: Wheels for Linux and CPython 3.11: code, catalogues, images, fonts, arrays, archives, pickles.
PACKAGES = [
    "babel==2.19.0",
    "django==5.2.19",
    "faker==40.63.0",
    "jedi==0.20.1",
    "matplotlib==3.11.2",
    "networkx==3.6.1",
    "numpy==2.4.6",
    "pandas==3.1.1",
    "scikit-learn==1.9.1",
    "scipy==1.17.1",
    "sphinx==9.0.4",
    "sympy==1.14.0",
    "tzdata==2026.6",
]


def random_files(count: int, *, seed: int) -> Iterator[bytes]:
    """Return files of half, single and double floats, as weights are distributed, and of bytes: a few KiB each."""
    chance = np.random.default_rng(seed)
    for number in range(count):
        size = int(chance.integers(16, 4096))
        kind = ("f2", "f4", "f8", None)[number % 4]
        yield chance.bytes(size) if kind is None else (chance.normal(size=size) * 0.02).astype(kind).tobytes()


def told(data: bytes, *, path: str) -> str:
    """Return what is said of a file: the container of its pickles, or why it has none."""
    try:
        schema = inspect_in_memory(data, path=path)
    except UnknownFormatException:
        return "unknown"
    except FormatException:
        return "unreadable"
    return schema.container if isinstance(schema, PickleSchema) else schema.format


def _is_pickle(data: bytes) -> bool:
    """Return whether the standard library's disassembler comes to an end where the file does."""
    file = io.BytesIO(data)
    try:
        pickletools.dis(file, io.StringIO())
    except Exception:  # noqa: BLE001 - it raises anything on what is none
        return False
    return not file.read()


def _files(directory: Path) -> Iterator[tuple[str, bytes]]:
    for wheel in sorted(directory.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if member.file_size:
                    yield f"{wheel.name}/{member.filename}", archive.read(member)


def measure_packages(directory: Path, report: Callable[[str], object]) -> bool:
    """Print what the wheels in a directory come to, and return whether all of it is right."""
    outcomes, wrong = collections.Counter[str](), list[str]()
    for path, data in _files(directory):
        outcome = _outcome(path, data, directory)
        outcomes[outcome if not _is_pickle(data) else f"{outcome}, and is one"] += 1
        if (outcome == "pickle") != _is_pickle(data):
            wrong.append(f"{path}: {outcome}")
    report(f"files of packages: {outcomes.total()}, {dict(outcomes)}; wrong: {wrong}\n")
    return not wrong


def _outcome(path: str, data: bytes, directory: Path) -> str:
    """Return what a whole inspection says, by its name as well."""
    file = directory / "inspected"
    file.write_bytes(data)
    try:
        schema = inspect_file(file, name=path)
    except UnknownFormatException:
        return "unknown"
    except FormatException:
        return "unreadable"
    return schema.container if isinstance(schema, PickleSchema) else schema.format


def main(report: Callable[[str], object] = sys.stdout.write) -> int:
    """Measure, and return 1 where something was told wrongly."""
    outcomes = collections.Counter(told(data, path="weights.bin") for data in random_files(10_000, seed=0))
    report(f"random files: {outcomes.total()}, {dict(outcomes)}\n")
    with tempfile.TemporaryDirectory() as directory:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*download, "--dest", directory, *PACKAGES], check=True)
        right = measure_packages(Path(directory), report)
    return 0 if right and outcomes == {"unknown": 10_000} else 1


if __name__ == "__main__":
    sys.exit(main())
