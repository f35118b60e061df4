"""Pickles: no verdict is safer than picklescan's, nothing is executed, and hostile files cost little."""

import bz2
import collections
import io
import pickle
import pickletools
import random
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picklescan import scanner  # type: ignore[import-untyped]  # it has no types

from kamiwaza_sdk import FormatException, inspect_file
from kamiwaza_sdk.formats import (
    FormatLimitException,
    MalformedFileException,
    OtherFileSchema,
    PickleSchema,
    UnknownFormatException,
    source,
)
from kamiwaza_sdk.formats.containers import packed as packed_module
from kamiwaza_sdk.formats.pickles import machine
from kamiwaza_sdk.formats.pickles.rules import ALLOWED, judge
from kamiwaza_sdk.formats.pickles.walk import CODES
from tests.formats.fuzz_pickles import compare, mutants
from tests.formats.making import Ranges, inspect_bytes
from tests.formats.measure_pickles import random_files, told

ORDER = ["safe", "suspicious", "dangerous"]
TORCH_MAGIC = 0x1950A86A20F9469CFC6C


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:  # Any: what is called is what is tested
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n(tR.".encode()


def stack_global(module: str, name: str) -> bytes:
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + texts + b"\x93)R."


def zipped(members: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def stored(*counts: int, kind: str = "FloatStorage") -> bytes:
    """Return a pickle of storages as PyTorch's old format has them: so many numbers each."""
    identities = b"".join(
        b"(X\x07\0\0\0storagectorch\n%s\nU\x01%dU\x03cpuJ%sNtQ" % (kind.encode(), key, struct.pack("<i", count))
        for key, count in enumerate(counts)
    )
    return b"\x80\x02](" + identities + b"e."


def old_torch(body: bytes, *weights: bytes, width: int = 4) -> bytes:
    """Return a file of PyTorch's old format: its pickles, and the weights behind them."""
    parts = [pickle.dumps(value, 2) for value in (TORCH_MAGIC, 1001, {"little_endian": True})]
    keys = pickle.dumps([str(key) for key in range(len(weights))], 2)
    stored_weights = [struct.pack("<q", len(one) // width) + one for one in weights]
    return b"".join([*parts, body, keys, *stored_weights])


WEIGHTS = pickle.dumps(collections.OrderedDict(a=[1.0], b="x" * 5000), 2)
SAFE: dict[str, bytes] = {
    **{f"protocol {n}": pickle.dumps(collections.OrderedDict(a=1, b="two", c=[3.0]), n) for n in range(6)},
    "a torch archive": zipped({"m/data.pkl": WEIGHTS, "m/data/0": bytes(64), "m/version": b"3\n"}),
    "a deflated archive": zipped({"data.pkl": WEIGHTS}, method=zipfile.ZIP_DEFLATED),
    "two pickles": pickle.dumps([1]) + pickle.dumps({"a": collections.OrderedDict()}),
    "a storage": b"\x80\x02ctorch\nFloatStorage\n.",
    "a parameter beside the weights": b"\x80\x02ctorch._utils\n_rebuild_parameter\n.",
    "a set": pickle.dumps({1, 2}, 2),
}
DANGEROUS: dict[str, bytes] = {
    **{f"protocol {n}": pickle.dumps(Call(eval, "1"), n) for n in range(6)},
    "os.system": named("os", "system"),
    "posix.system, on the stack": stack_global("posix", "system"),
    "INST": b"(S'x'\nios\nsystem\n.",
    "through a submodule": named("os.path", "join"),
    "a dotted name": stack_global("collections", "OrderedDict.__init__.__globals__"),
    "an extension that is called": b"\x80\x02\x82\x01)R.",
    "a module that is not a text": b"\x80\x04K\x01\x8c\x06system\x93.",
    "nothing on the stack": b"\x80\x04\x93.",
    "a memo that is empty": b"\x80\x04h\x05\x8c\x06system\x93.",
    "a memo that was stored over": b"\x80\x04\x8c\x02os\x94K\x010h\x00\x8c\x06system\x93.",
    "a module from the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940" + b"0h\x00h\x01\x93)R.",
    "a memo key across the end of a frame": (
        b"\x80\x04\x8c\x0bcollectionsq\x01\x8c\x0bOrderedDictq\x02\x8c\x07decimal\x95\x02\0\0\0\0\0\0\0p21\n"
        b"\x8c\x07Context\x95\x02\0\0\0\0\0\0\0p22\nh\x01h\x02\x93)R."
    ),
    "a text across the end of a frame": (b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x14aaaaaaaaaaaaaaaaaaaacos\nsystem\n)R."),
    "a frame in a frame": b"\x80\x04\x95\x0c\0\0\0\0\0\0\0\x95\x10\0\0\0\0\0\0\0aaacos\nsystem\n)R.",
    "a frame after the end": b"\x80\x04\x95\x02\0\0\0\0\0\0\0N.\x80\x04\x95\x20\0\0\0\0\0\0\0N." + bytes(40),
    "texts that are doubled": b"\x80\x04\x8c\x06systemK\x01\x85\x8c\x02os2\x93.",
    "an escape that does not exist": b"S'o\\q'\nS'system'\n\x93.",
    "a long name": named("os", "x" * 5000),
    "torn after it": b"\x80\x02" + named("os", "system")[:-4],
    "a class looked up before its mark is missed": b"\x80\x02ios\nsystem\n.",
    "a second pickle that needs the first one's memo": pickle.dumps("os", 4) + b"\x80\x04h\0\x8c\x06system\x93)R.",
    "trailing bytes": named("os", "system") + b"\xff\xff",
    "a second pickle": pickle.dumps([1]) + named("os", "system"),
    "an archive": zipped({"m/data.pkl": named("os", "system")}),
    "an archive without a telling name": zipped({"m/0": stack_global("os", "system")}),
    "an archive with NUL in a name": zipped({"m/data.pkl_x": named("os", "system")}).replace(b"l_x", b"l\0x"),
    "a deflated archive": zipped({"x.pkl": named("os", "system")}, method=zipfile.ZIP_DEFLATED),
    "an archive after a pickle": WEIGHTS + zipped({"x.pkl": named("os", "system")}),
    "torch's old format": old_torch(pickle.dumps(Call(eval, "1"), 2)),
    "an archive inside a pickle": b"\x80\x04B"
    + struct.pack("<I", len(zipped({"x.pkl": named("os", "system")})))
    + zipped({"x.pkl": named("os", "system")})[:-2]
    + b"\1\0.",
    "an archive after torch's weights": old_torch(stored(4), bytes(16)) + zipped({"x.pkl": named("os", "system")}),
    "after long data": pickle.dumps([b"x" * 300_000, Call(eval, "1")]),
}


def tarred(checksum: Callable[[int, int], bytes]) -> bytes:
    """Return a pickle that PyTorch's oldest format, a tar archive, is inside of."""
    header = bytearray(512)
    header[:4] = b"\x80\x04C\x9c"  # bytes, up to the name of what is linked to
    header[124:135] = b"0" * 11
    header[345:500] = b"\x80" * 155
    evil = tarfile.TarInfo("storages")
    evil.size = len(named("os", "system"))
    rest = evil.tobuf() + named("os", "system").ljust(512, b"\0") + bytes(1024)
    header[160:165] = b"B" + struct.pack("<I", 512 - 165 + len(rest))
    header[148:156] = b" " * 8
    header[148:156] = checksum(sum(header), sum(byte - 256 * (byte > 127) for byte in header))
    return bytes(header) + rest + b"."


ARCHIVED: dict[str, bytes] = {
    "a tar archive": tarred(lambda unsigned, _: b"%06o\0 " % unsigned),
    "a tar archive that counts in signed bytes": tarred(lambda _, signed: b"%7o " % signed),
    "a tar archive that counts in binary": tarred(lambda unsigned, _: b"\x80" + unsigned.to_bytes(7, "big")),
    "a tar archive that counts in negative numbers": tarred(lambda _, signed: signed.to_bytes(8, "big", signed=True)),
}
SUSPICIOUS: dict[str, bytes] = {
    "a class of the host's": named("myapp.models", "Net"),
    "an extension": b"\x80\x02\x82\x01.",
    "memo keys that end in NUL": (
        b"\x80\x04S'collections'\np1\n0S'OrderedDict'\np2\n0S'decimal'\np1\0\n0S'Context'\np2\0\n0g1\ng2\n\x93)R."
    ),
    "torn in its last line": b"\x80\x02cdecimal\nContext!",
    "a second pickle whose memo is its own": (
        b"\x80\x04K\1\x940\x8c\x02io\x94.\x80\x04\x8c\x07decimal\x940h\0\x8c\x07Context\x93)R."
    ),
    "a class that is given attributes": b"\x80\x02ccollections\nOrderedDict\n}U\x01aK\x01sb.",
    "a function that is given items": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01u.",
    "cut short": WEIGHTS[:-20],
    "bytes after it": WEIGHTS + b"\xff",
    "an archive without its end": zipped({"data.pkl": WEIGHTS})[:-30],
    "an archive after something": b"PK\x03\x04" + zipped({"data.pkl": WEIGHTS}),
    "a torn member": zipped({"data.pkl": WEIGHTS[:-9]}),
}


NONE: dict[str, bytes] = {
    "no instruction": b"\x80\x04\xff",
    "a claim of exabytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"x.",
    "a protocol that does not exist": b"\x80\x06N.",
    "nothing on the stack": b"\x80\x02.",
    "no mark": b"\x80\x02Nt.",
    "half a pair": b"\x80\x02}(Nu.",
    "an item of a number": b"\x80\x02K\x01Na.",
    "a number that is called": b"\x80\x02K\x01)R.",
}


def scanned(path: Path, *, data: bytes | None = None, strictly: bool = False) -> str:
    """Return picklescan's verdict in our words, but for the names that PyTorch and NumPy themselves allow."""
    with warnings.catch_warnings(action="ignore"):  # the library that it uses warns of odd escapes
        result = scanner.scan_bytes(io.BytesIO(path.read_bytes() if data is None else data), str(path), path.suffix)
    found = {one.safety.value for one in result.globals if strictly or judge(one.module, one.name) != "safe"}
    return "dangerous" if "dangerous" in found else "suspicious" if found - {"innocuous"} or result.scan_err else "safe"


def verdict(data: bytes, path: Path) -> str:
    schema = inspect_bytes(data, path)
    assert isinstance(schema, PickleSchema | OtherFileSchema)
    return schema.verdict or "none"


@pytest.mark.parametrize("ending", [".bin", ".pt", ".pkl", ".ckpt"])
@pytest.mark.parametrize(
    ("expected", "data"),
    [
        pytest.param(expected, data, id=f"{expected}: {name}")
        for expected, files in (("safe", SAFE), ("suspicious", SUSPICIOUS), ("dangerous", DANGEROUS | ARCHIVED))
        for name, data in files.items()
    ],
)
def test_the_verdict_is_right_and_never_safer_than_that_of_picklescan(
    expected: str, data: bytes, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model{ending}"
    assert verdict(data, path) == expected
    try:
        theirs = scanned(path)
    except (ValueError, zipfile.BadZipFile):  # it gives up on some
        return
    assert ORDER.index(expected) >= ORDER.index(theirs)


def test_a_pickle_inside_of_a_packed_pickle_is_judged_too(tmp_path: Path) -> None:
    packed = bz2.compress(b"") + bz2.compress(named("os", "system"))
    path = tmp_path / "model.joblib"
    with path.open("wb") as file:  # to a pickle's reader, the first bytes tell a length
        file.write(packed)
        file.seek(5 + int.from_bytes(packed[1:5], "little"))
        file.write(b".")
    with bz2.open(path) as unpacked:
        assert unpacked.read() == named("os", "system")
    schema = inspect_file(path)
    assert isinstance(schema, PickleSchema)
    assert (schema.verdict, schema.pickles) == ("dangerous", 2)


@pytest.mark.parametrize("ending", [".pt", ".bin", ".pkl", ".ckpt"])
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in NONE.items()])
def test_files_that_are_no_pickles_are_refused_under_such_names(data: bytes, ending: str, tmp_path: Path) -> None:
    error, said = (
        (UnknownFormatException, "no safetensors") if ending == ".bin" else (MalformedFileException, "is none")
    )
    with pytest.raises(error, match=said):
        inspect_bytes(data, tmp_path / f"model{ending}")


def test_broken_streams_with_an_uncalled_import_are_no_pickles(tmp_path: Path) -> None:
    torn = named("os", "system").removesuffix(b"(tR.") + b"\xff"
    assert verdict(torn, tmp_path / "model.pkl") == "dangerous"
    with pytest.raises(UnknownFormatException):
        inspect_bytes(torn, tmp_path / "model.bin")


@pytest.mark.parametrize(("ending", "expected"), [(".pt", "safe"), (".bin", "safe"), (".pkl", "suspicious")])
def test_weights_behind_pickles_are_suspicious_only_under_names_of_pickles(
    ending: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model{ending}"
    assert verdict(old_torch(stored(4), bytes(16)), path) == expected == scanned(path)


def test_weights_of_pytorchs_old_format_are_skipped_by_their_sizes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    for number in range(300):
        floats = random.Random(number).choices([0.02, -0.5, 1.0, 3.25], k=50)
        weights = struct.pack("<50f", *floats)
        assert verdict(old_torch(stored(50, 50), weights, weights), path) == "safe"
    called = named("decimal", "Decimal").ljust(40, b"\0")
    assert verdict(old_torch(stored(10), called), path) == "safe"
    for data in (old_torch(stored(9), called), old_torch(stored(10), called) + b"\0", old_torch(WEIGHTS, called)):
        assert verdict(data, path) == "suspicious"
    hidden = inspect_bytes(old_torch(stored(10), called) + named("os", "system"), path)
    assert isinstance(hidden, PickleSchema)
    assert hidden.verdict == "dangerous"


def test_every_import_that_picklescan_knows_is_judged_no_safer() -> None:
    for module, names in scanner._unsafe_globals.items():
        for name in {"*": {"anything"}}.get(str(names), {names} if isinstance(names, str) else names):
            assert judge(module, name) == "dangerous", (module, name)
            assert names != "*" or judge(f"{module}.inner", name) == "dangerous"
    allowed = ((module, scanner._unsafe_globals.get(module, ()), name) for module, name in ALLOWED)
    assert [(module, name) for module, names, name in allowed if names == "*" or name in names] == []


def test_imports_are_sorted_and_unique(tmp_path: Path) -> None:
    schema = inspect_bytes(pickle.dumps([Call(eval, "1"), Call(eval, "2"), Decimal(1)]), tmp_path / "a.pkl")
    assert isinstance(schema, PickleSchema)
    found = [(i.module, i.name, i.verdict) for i in schema.imports]
    assert found == [("builtins", "eval", "dangerous"), ("decimal", "Decimal", "suspicious")]
    assert PickleSchema.model_validate_json(schema.model_dump_json()) == schema


def test_arrays_of_objects_are_scanned(tmp_path: Path) -> None:
    import numpy as np

    plain, objects = io.BytesIO(), io.BytesIO()
    np.save(plain, np.frombuffer(named("os", "system") * 10, np.uint8))
    np.save(objects, np.array([Call(eval, "1")], dtype=object), allow_pickle=True)
    assert verdict(plain.getvalue(), tmp_path / "a.npy") == "safe"
    assert verdict(objects.getvalue(), tmp_path / "b.npy") == "dangerous"
    assert verdict(zipped({"a.npy": objects.getvalue()}), tmp_path / "c.npz") == "dangerous"


@pytest.mark.parametrize(
    "descr",
    ["'object'", r"'|\x4f'", "'obj' 'ect'", " " * 70_000 + "'|O'", "[('a', 'object')]", "('object', (1,))"],
    ids=["by name", "escaped", "in pieces", "far behind", "in a field", "in an array"],
)
def test_arrays_of_objects_are_scanned_with_any_header(descr: str, tmp_path: Path) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
    data = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + named("os", "system")
    assert verdict(data, tmp_path / "model.npy") == "dangerous"
    assert verdict(zipped({"model.npy": data}), tmp_path / "model.npz") == "dangerous"


NUMBERS = {"'<f4'": 4, "'|b1'": 1, "'<M8[ns]'": 8, "'<U3'": 12, "[('pos', '<f4', (3,)), ('Of', '|u1')]": 13}


@pytest.mark.parametrize(("descr", "size"), NUMBERS.items())
def test_arrays_of_numbers_are_safe_with_any_field_names(descr: str, size: int, tmp_path: Path) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1, 2), }}   \n".encode()
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(2 * size)
    assert verdict(array, tmp_path / "model.npy") == "safe"
    assert verdict(array + array, tmp_path / "two.npy") == "safe"  # as several calls of numpy.save write them
    assert verdict(array + bytes(1), tmp_path / "more.npy") == "suspicious"
    assert verdict(array + named("os", "system"), tmp_path / "hidden.npy") == "dangerous"
    with pytest.raises(MalformedFileException):
        inspect_bytes(array[:-1], tmp_path / "torn.npy")


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_arrays_of_numpy_are_safe(protocol: int, tmp_path: Path) -> None:
    import numpy as np

    grid = np.arange(6.0).reshape(2, 3)
    structured = np.zeros(2, dtype=[("a", "f4"), ("b", "U3")])
    values = [grid, np.asfortranarray(grid), grid[:, ::2], np.float32(1), np.dtype("f4"), structured, np.array([None])]
    assert verdict(pickle.dumps(values, protocol), tmp_path / "arrays.pkl") == "safe"


class Estimator:
    """Stands for a model of scikit-learn's."""


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_that_joblib_writes_between_instructions_are_skipped(protocol: int, tmp_path: Path) -> None:
    import joblib  # type: ignore[import-untyped]  # it has no types
    import numpy as np

    path = tmp_path / "model.joblib"
    for number in range(40):
        model, chance = Estimator(), np.random.default_rng(number)
        for name, kind in (
            ("coef", "f8"),
            ("nodes", [("left", "i8"), ("value", "f4")]),
            ("names", "U5"),
            ("mixed", "O"),
        ):
            setattr(model, name, chance.normal(size=(7, 3)).astype(kind) if kind != "O" else np.array(["a", None]))
        joblib.dump([model, "after"], path, protocol=protocol)
        schema = inspect_file(path)
        assert isinstance(schema, PickleSchema)
        assert (schema.verdict, schema.findings) == ("suspicious", ())


def test_an_array_of_joblib_of_unknown_size_hides_imports(tmp_path: Path) -> None:
    import joblib
    import numpy as np

    path = tmp_path / "model.joblib"
    joblib.dump([np.arange(100.0)], path)
    assert verdict(path.read_bytes(), path) == "suspicious"
    assert verdict(path.read_bytes()[:-200], path) == "dangerous"
    renamed = path.read_bytes().replace(b"\x8c\x05shape", b"\x8c\x05shaqe")
    assert verdict(renamed, path) == "dangerous"


def test_imports_of_an_unpickler_without_joblib_are_listed_too(tmp_path: Path) -> None:
    import joblib
    import numpy as np

    array = np.frombuffer((b"0" + named("decimal", "Decimal")).ljust(64, b"."), "u1")
    path = tmp_path / "model.joblib"
    joblib.dump([array], path, protocol=2)
    data = path.read_bytes()
    begin = data.index(array.tobytes())
    aligned = b"numpy_array_alignment_bytes"
    assert aligned in data
    unpadded = data[: begin - 1 - _padding(data, begin)] + data[begin:]
    schema = inspect_bytes(unpadded.replace(aligned, b"x" * len(aligned)), path)
    assert isinstance(schema, PickleSchema)
    assert ("decimal", "Decimal") in {(one.module, one.name) for one in schema.imports}
    assert schema.findings == ()


def _padding(data: bytes, begin: int) -> int:
    """Return how many bytes stand between the one that tells their number and an array."""
    return next(count for count in range(17) if data[begin - 1 - count] == count)


TEXTS = [
    "Credits\n\nSay what you changed.\nIt is free of charge.\nMerges were made by hand.\n",
    "import os\n(the system)\n.",
    "class Model:\n    pass\n",
    "Permission is hereby granted, free of charge,\nto any person\n",
    "I was here\nN.\n",
    "{}\n",
    "GNU General Public License\nVersion 3\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_no_pickle(text: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatException):
        inspect_bytes(text.encode(), tmp_path / "CREDITS.md")


def test_random_numbers_are_no_pickles() -> None:
    outcomes = collections.Counter(told(data, path="openvino_model.bin") for data in random_files(10_000, seed=1))
    assert outcomes == {"unknown": 10_000}


def test_all_imports_of_both_unpicklers_in_mutated_pickles_are_listed() -> None:
    with warnings.catch_warnings(action="ignore"):  # of odd escapes
        outcomes = collections.Counter(compare(data) for data in mutants(8_000, seed=2))
    assert outcomes["listed"] > 3_000
    assert outcomes["unresolved"] < 1_500


@pytest.mark.parametrize("before", [b"", b"K\x010", b"X\0\0\0\x000", b"\x890"])
@pytest.mark.parametrize("after", [b"", b"\xff", b".\xff"])
def test_a_pickle_that_runs_before_it_breaks_off_is_recognised(before: bytes, after: bytes, tmp_path: Path) -> None:
    data = before + named("os", "system").removesuffix(b".") + after
    assert verdict(data, tmp_path / "model.th") == "dangerous"
    assert verdict(zipped({"model/0": data}), tmp_path / "model.pt") == "dangerous"


def test_pickles_are_recognised_under_any_name(tmp_path: Path) -> None:
    assert verdict(stack_global("os", "system"), tmp_path / "model.safetensors") == "dangerous"
    assert verdict(pickle.dumps([1], 0), tmp_path / "unnamed") == "safe"


@pytest.mark.parametrize("data", [b"", b"# Notes\n", b"{}", b"\x00" * 100, b"<p>"])
@pytest.mark.parametrize("name", ["notes.md", "unnamed", "vocabulary.dat"])
def test_other_first_bytes_are_of_no_known_format(data: bytes, name: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatException, match="no safetensors"):
        inspect_bytes(data, tmp_path / name)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit that is reached soon, also where coverage is measured."""
    monkeypatch.setattr(source, "MAX_STEPS", 100_000)
    return source.MAX_STEPS


def beyond(data: bytes, path: Path) -> tuple[str, str]:
    """Return the verdict on what takes too much to be looked through, and what is said of the rest."""
    schema = inspect_bytes(data, path)
    assert isinstance(schema, PickleSchema)
    return schema.verdict, schema.findings[0]


def test_zip_bombs_are_unknown(few_steps: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packed_module, "MAX_UNPACKED", 32 * 1024**2)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = pickle.PROTO + b"\x04" + b"N0" * few_steps
    packed = packer.compress(bomb) + b"".join(packer.compress(b"N0" * 500_000) for _ in range(20)) + packer.flush()
    unknown = f"it is unknown beyond step {few_steps}; that is no ordinary file"
    assert beyond(_archive(packed, claimed=2**40), tmp_path / "a.pt") == ("suspicious", unknown)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = b"\x80\x04\x8e" + struct.pack("<Q", 2**40)
    packed = packer.compress(head) + b"".join(packer.compress(bytes(2**20)) for _ in range(40)) + packer.flush()
    verdict, reason = beyond(_archive(packed, claimed=2**41), tmp_path / "b.pt")
    assert verdict == "suspicious"
    assert "unfold to more than" in reason


def _archive(packed: bytes, *, claimed: int) -> bytes:
    """Return an archive with one deflated member that claims to be as large as this."""
    name = b"data.pkl"
    extra = struct.pack("<2HQ", 1, 8, claimed)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 8, 0, 0, 0, len(packed), 2**32 - 1, len(name), len(extra))
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, 8, 0, 0, 0, len(packed), 2**32 - 1, len(name), len(extra), 0, 0, 0, 0, 0
    )
    body = local + name + extra + packed
    directory = central + name + extra
    return body + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(body), 0)


@pytest.mark.parametrize("name", ["a.pkl", "a.unnamed"])
@pytest.mark.parametrize(
    ("before", "expected"), [(b"", "suspicious"), (stack_global("os", "system")[2:-1] + b"0", "dangerous")]
)
def test_endless_pickles_get_the_verdict_of_their_beginning(
    before: bytes, expected: str, name: str, few_steps: int, tmp_path: Path
) -> None:
    endless = b"\x80\x04" + before + b"N0" * few_steps
    unknown = f"it is unknown beyond step {few_steps}; that is no ordinary file"
    if name == "a.pkl" or before:
        assert beyond(endless, tmp_path / name) == (expected, unknown)
    else:
        with pytest.raises(FormatLimitException, match="is unknown beyond step"):  # for it may be no pickle at all
            inspect_bytes(endless, tmp_path / name)
    assert beyond(zipped({"m/data.pkl": endless}), tmp_path / "m.pt") == (expected, unknown)
    assert beyond(zipped({"m/0": pickle.dumps(1), "m/data.pkl": endless}), tmp_path / "n.pt") == (expected, unknown)


@pytest.mark.parametrize("members", [0, 100])
async def test_findings_in_a_part_of_a_remote_archive_count(members: int) -> None:
    rest = {f"m/{index}.pkl": pickle.dumps(bytes(range(256)) * 400) for index in range(members)}
    schema = await Ranges(zipped({"m/a.pkl": stack_global("os", "system"), **rest}), path="a.pt").inspect()
    assert isinstance(schema, PickleSchema)
    assert (schema.verdict, len(schema.findings)) == ("dangerous", 1 if members else 0)


async def test_a_remote_archive_without_findings_is_unknown_beyond_the_budget() -> None:
    members = {f"m/{index}.pkl": pickle.dumps(bytes(range(256)) * 400) for index in range(100)}
    with pytest.raises(FormatLimitException, match="requests"):
        await Ranges(zipped(members), path="a.pt").inspect()


@pytest.mark.parametrize("before", [b"", pickle.dumps("one"), pickle.dumps(None)])
def test_pickles_that_fill_the_memo_are_unknown(before: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "MAX_MEMO", 1000)
    assert verdict(before + b"\x80\x04N" + b"\x94" * 400 + b".", tmp_path / "a.pickles.bin") == "safe"
    found, reason = beyond(before + b"\x80\x04N" + b"\x94" * 1001 + b".", tmp_path / "b.pkl")
    assert found == "suspicious"
    assert "memo" in reason


async def test_remote_archives_are_scanned_without_their_weights() -> None:
    members = {"m/data.pkl": WEIGHTS} | {f"m/data/{n}": random.Random(n).randbytes(100_000) for n in range(30)}
    ranges = Ranges(zipped(members), path="a.pt")
    schema = await ranges.inspect()
    assert isinstance(schema, PickleSchema)
    assert (schema.verdict, schema.container, schema.pickles) == ("safe", "zip", 1)
    assert len(ranges.read) <= 4
    assert sum(length for _, length in ranges.read) < 200_000


async def test_remote_archives_of_arrays_are_scanned_with_any_names() -> None:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickle.dumps(Call(eval, "1"))
    data = zipped({"data/0": array})
    schema = await Ranges(data, path="model.npz").inspect()
    assert isinstance(schema, PickleSchema)
    assert schema.verdict == "dangerous"


async def test_remote_pickles_are_scanned_without_their_data() -> None:
    ranges = Ranges(pickle.dumps([b"x" * 10_000_000, Call(eval, "1")]), path="a.pkl")
    schema = await ranges.inspect()
    assert isinstance(schema, PickleSchema)
    assert schema.verdict == "dangerous"
    assert sum(length for _, length in ranges.read) < 200_000


def test_every_instruction_of_the_standard_library_is_known() -> None:
    assert {chr(number): code.name for number, code in CODES.items()} == {
        code: op.name for code, op in ((op.code, op) for op in pickletools.opcodes)
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=400),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(value=values, protocol=st.integers(0, 5))
def test_pickles_of_plain_values_are_whole_and_not_dangerous(
    value: object, protocol: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    schema = inspect_bytes(pickle.dumps(value, protocol), tmp_path_factory.getbasetemp() / "value.pkl")
    assert isinstance(schema, PickleSchema)
    assert [found for found in schema.imports if found.verdict == "dangerous"] == []
    assert (schema.pickles, schema.findings) == (1, ())


pieces = st.sampled_from(
    [
        b"cos\nsystem\n",
        b"ccollections\nOrderedDict\n",
        b"\x8c\x02os",
        b"\x8c\x06system",
        b"\x94",
        b"\x93",
        b"h\x00",
        b"h\x01",
        b"q\x00",
        b"q\x01",
        b"\x8c\x0bcollections",
        b"\x8c\x0bOrderedDict",
        b"K\x01",
        b"0",
        b"2",
        b"N",
        b".",
        b"(",
        b"t",
        b"R",
        b"V\\u006fs\n",
        b"S'os'\n",
        b"X\x02\x00\x00\x00os",
        b"p0\n",
        b"g0\n",
        b"\x80\x04",
        b"\x95\x08\x00\x00\x00\x00\x00\x00\x00",
        b"U\x02os",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.lists(pieces | st.binary(max_size=3), max_size=14), st.sampled_from([".pkl", ".bin", ".pt"]))
def test_no_sequence_of_instructions_gets_a_safer_verdict_than_from_picklescan(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], ending: str
) -> None:
    path, data = tmp_path_factory.getbasetemp() / f"parts{ending}", b"".join(parts)
    try:
        schema = inspect_bytes(data, path)
    except FormatException:
        return
    if isinstance(schema, OtherFileSchema):  # what is packed, and cut short
        assert schema.verdict is None
        assert schema.unread
        return
    assert isinstance(schema, PickleSchema)
    ours = schema.verdict
    broken = [int(found.split()[6].rstrip(":")) for found in schema.findings if found.startswith("not a whole pickle")]
    try:
        theirs = scanned(path, data=data[: min(broken, default=None)])  # it searches behind an error, no unpickler does
    except (ValueError, OSError):
        return
    assert ORDER.index(ours) >= ORDER.index(theirs), (ours, theirs)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_an_archive_with_any_bytes_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    original = zipped({"m/data.pkl": WEIGHTS[:60], "m/0": bytes(20)}, method=zipfile.ZIP_DEFLATED)
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place : place + 4] = data.draw(st.binary(min_size=1, max_size=4))
    with suppress(FormatException):
        inspect_bytes(bytes(mutated), tmp_path_factory.getbasetemp() / "mutated.pt")


def test_empty_files_with_the_name_of_a_pickle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    with pytest.raises(MalformedFileException):
        inspect_file(tmp_path / "a.safetensors")


def test_zip64_archives_are_scanned(tmp_path: Path) -> None:
    data = zipped({"m/data.pkl": named("os", "system")})
    body, (_, _, _, _, count, size, offset, _) = data[:-22], struct.unpack("<4s4H2IH", data[-22:])
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(body), 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    whole = body + record + locator + end
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:  # the standard library takes it for one
        assert archive.namelist() == ["m/data.pkl"]
    schema = inspect_bytes(whole, tmp_path / "a.pt")
    assert isinstance(schema, PickleSchema)
    assert (schema.verdict, schema.findings) == ("dangerous", ())
    lost = whole.replace(b"PK\6\6", b"PK\6\0")
    assert verdict(lost, tmp_path / "b.pt") == "suspicious"


def test_archives_with_two_directories_are_suspicious(tmp_path: Path) -> None:
    data = zipped({"a.pkl": WEIGHTS, "b.pkl": named("os", "system")})
    body, (_, _, _, _, _, size, offset, _) = data[:-22], struct.unpack("<4s4H2IH", data[-22:])
    both = body[offset:]
    comment = len(both) + 76  # the directory that the short numbers name has one member, and hides all that follows
    harmless = bytearray(both[: both.index(b"PK\1\2", 4)])
    harmless[32:34] = struct.pack("<H", comment)
    place = len(body) + len(harmless)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, size, offset + len(harmless))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(harmless) + comment, offset, 0)
    whole = body[:offset] + harmless + both + record + locator + end
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.namelist() == ["a.pkl", "b.pkl"]
    assert verdict(whole, tmp_path / "a.pt") == "suspicious"
    unset = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    elsewhere = struct.pack("<4sIQI", b"PK\6\7", 0, place + 1, 1)
    assert verdict(whole.replace(locator, elsewhere).replace(end, unset), tmp_path / "b.pt") == "suspicious"


@pytest.mark.parametrize("place", [6, 8])
def test_a_member_that_is_encrypted_or_packed_in_another_way_is_suspicious(place: int, tmp_path: Path) -> None:
    data = bytearray(zipped({"m/data.pkl": WEIGHTS}))
    data[place] = 9 if place == 8 else 1
    assert verdict(bytes(data), tmp_path / "a.pt") == "suspicious"
    central = data.index(b"PK\x01\x02") + 10
    data[central], data[8] = 14, 14
    assert verdict(bytes(data), tmp_path / "a.pt") == "suspicious"


def test_an_archive_that_claims_gigabytes_of_members_is_unknown(tmp_path: Path) -> None:
    data = zipped({"m/data.pkl": WEIGHTS})
    size = struct.pack("<I", 2**31)
    found, reason = beyond(data[:-10] + size + data[-6:], tmp_path / "a.pt")
    assert found == "suspicious"
    assert "directory claims" in reason
