"""Mutates pickles, and compares the imports of CPython's two unpicklers with the listed ones: ``nox -s fuzz``.

Nothing is imported or called: the unpicklers get an inert class for every name.
"""

import argparse
import collections
import io
import pickle
import random
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kamiwaza_sdk.formats import FormatException
from kamiwaza_sdk.formats.containers.contents import read_contents
from kamiwaza_sdk.formats.pickles.rules import UNRESOLVED
from kamiwaza_sdk.formats.source import ByteSource

__all__ = ["Missed", "compare", "inspect_in_memory", "looked_up", "mutants"]

#: An unpickler asked for an enormous memo or buffer is refused it.
MOST_MEMORY = 2 * 1024**3
PIECES = [
    b"cdecimal\nDecimal\n", b"(", b")", b"t", b"R", b"(idecimal\nContext\n", b"o", b"b", b"\x81", b"\x92", b"0", b"1",
    b"2", b"\x8c\x07decimal", b"\x8c\x07Context", b"\x93", b"\x94", b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"p0\n",
    b"g0\n", b"p1\0\n", b"N", b".", b"K\x01", b"]", b"}", b"\x8f", b"a", b"e", b"s", b"u", b"\x90", b"\x91", b"l",
    b"d", b"\x85", b"\x86", b"\x87", b"I01\n", b"I7\n", b"F1.5\n", b"L7L\n", b"S'decimal'\n", b"Vcontext\n",
    b"U\x07decimal", b"\x80\x04", b"\x80\x02", b"\x95\x08\0\0\0\0\0\0\0", b"\x95\x02\0\0\0\0\0\0\0",
    b"\x95\x40\0\0\0\0\0\0\0", b"\x82\x01", b"Pid\n", b"Q", b"\x97", b"\x98", b"X\x07\0\0\0decimal",
    b"\x8d\x07\0\0\0\0\0\0\0Context", b"cfractions\nFraction", b"ifractions\nFraction", b"C\x02ab", b"B\x02\0\0\0ab",
    b"\x8a\x01\x05", b"M\x01\x02", b"\x88",
]  # fmt: skip


#: An unpickler makes its memo as large as a key of four bytes says, and a buffer as large as one of eight.
_TAMED = bytes.maketrans(b"rj\x96", b"qhC")


class _Meta(type):
    """Lets the class be called, and given attributes, like an instance."""

    def __call__(cls, *_: Any, **__: Any) -> Any:  # Any: whatever a mutant passes
        return object.__new__(Inert)

    def __setstate__(cls, _: Any) -> None: ...
    def __setitem__(cls, *_: Any) -> None: ...
    def append(cls, _: Any) -> None: ...
    def extend(cls, _: Any) -> None: ...
    def add(cls, _: Any) -> None: ...


class Inert(metaclass=_Meta):
    """Stands for everything that is imported, and for what that returns. It does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "Inert":  # Any: as above
        return object.__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> "Inert":
        return self

    def __setstate__(self, _: Any) -> None: ...
    def __setitem__(self, *_: Any) -> None: ...
    def append(self, _: Any) -> None: ...
    def extend(self, _: Any) -> None: ...
    def add(self, _: Any) -> None: ...


Found = set[tuple[str, str]]


def _recording(base: Any, found: Found) -> Any:  # Any: the unpickler in Python has no type
    class Recording(base):  # type: ignore[misc]  # as above
        def find_class(self, module: str, name: str) -> Any:
            found.add((module, name))
            return Inert

        def persistent_load(self, _: Any) -> Inert:
            return Inert()

    return Recording


def looked_up(data: bytes) -> Found:
    """Return every name that an unpickler looks up in these bytes, however it is fed and used."""
    found: Found = set()
    for base in (pickle.Unpickler, pickle._Unpickler):  # the second is the one in Python
        unpickler = _recording(base, found)
        for opened in (io.BytesIO, lambda some: io.BufferedReader(io.BytesIO(some))):
            _load_all(unpickler, opened(data), keeps=True)
            _load_all(unpickler, opened(data), keeps=False)
    return {(module, name) for module, name in found if module}  # the import of nothing fails in itself


def _load_all(unpickler: Any, file: Any, *, keeps: bool) -> None:  # Any: as above
    kept = unpickler(file, buffers=iter([b"1", b"2"]))
    for _ in range(20):
        try:
            (kept if keeps else unpickler(file, buffers=iter([b"1", b"2"]))).load()
        except Exception:  # noqa: BLE001 - mutants raise anything, and which is not what is asked
            return


def inspect_in_memory(data: bytes, *, path: str) -> Any:  # Any: whatever the reader returns
    """Return what the reader of pickles says of these bytes, or raise what it raises."""
    source = ByteSource(path=path, size=len(data), byte_budget=2**30, request_budget=10**6, remote=False)
    opening = source.begin()
    head = _drive(opening, data)
    return _drive(read_contents(source, head), data)


def _drive(reading: Any, data: bytes) -> Any:  # Any: as above
    try:
        span = next(reading)
        while True:
            span = reading.send(data[span.offset : span.offset + span.length])
    except StopIteration as done:
        return done.value


def _seeds() -> list[bytes]:
    values: list[Any] = [
        {"a": [1, 2.5, "text", b"bytes", None, True, (1, 2, 3, 4)], "b": {1, 2}, "c": frozenset([3])},
        collections.OrderedDict(a=Decimal(1), b=Fraction(1, 2)),
        [Decimal(1), Decimal, Fraction, 10**30, range(3)],
        collections.Counter("text"),
    ]
    dumped = [pickle.dumps(value, protocol) for value in values for protocol in range(6)]
    kept = io.BytesIO()
    pickler = pickle.Pickler(kept, 4)
    for value in (Decimal(1), "Decimal", Decimal(2), [Decimal(3), "decimal"]):
        pickler.dump(value)
    together = [b"".join(dumped[at : at + 3]) for at in range(0, len(dumped), 3)]
    return [*dumped, *together, kept.getvalue()]


def mutants(count: int, *, seed: int) -> Iterator[bytes]:
    """Return changed pickles: bytes flipped, pieces put in, taken out and exchanged, ends cut off, frames resized."""
    chance = random.Random(seed)
    seeds = _seeds()
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            _mutate(data, chance, seeds)
        yield bytes(data).translate(_TAMED)


def _mutate(data: bytearray, chance: random.Random, seeds: list[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    match chance.randrange(7):
        case 0 if at < len(data):
            data[at] = chance.randrange(256)
        case 1 | 2:
            data[at:at] = chance.choice(PIECES)
        case 3:
            del data[at : at + chance.randint(1, 6)]
        case 4:
            piece = chance.choice(PIECES)
            data[at : at + len(piece)] = piece
        case 5:
            other = chance.choice(seeds)
            data[at:] = other[chance.randrange(len(other)) :]
        case _:
            frame = data.find(b"\x95")
            if frame >= 0:
                data[frame + 1 : frame + 9] = struct.pack("<Q", chance.randint(0, len(data)))


class Missed(AssertionError):
    """An unpickler looks up what is not listed."""


def compare(data: bytes) -> str:
    """Return how a file of these bytes that is called a pickle was told: listed, unresolved, or unreadable."""
    expected = looked_up(data)
    try:
        schema = inspect_in_memory(data, path="mutant.pkl")
    except FormatException as error:
        if expected:
            raise Missed(data, expected, str(error)) from error
        return "unreadable"
    listed = {(one.module, one.name) for one in schema.imports}
    if (UNRESOLVED, UNRESOLVED) in listed or ("copyreg", UNRESOLVED) in listed:
        return "unresolved"
    if not expected <= listed:
        raise Missed(data, expected - listed)
    return "listed"


def main(arguments: list[str], report: Callable[[str], object] = sys.stdout.write) -> None:
    """Compare so many mutants, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pickles", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    outcomes = collections.Counter(compare(data) for data in mutants(options.pickles, seed=options.seed))
    report(f"{options.pickles} mutated pickles, nothing unlisted: {dict(outcomes)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
