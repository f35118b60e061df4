"""Kinds of files: how each is recognised, which contents are scanned, and no verdict on contents that are not read."""

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args

import h5py  # type: ignore[import-untyped]  # it has no types
import lz4.frame  # type: ignore[import-untyped]  # it has no types
import msgpack  # type: ignore[import-untyped]  # as above
import numpy as np
import onnx
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from kamiwaza_sdk import FormatException
from kamiwaza_sdk.formats import (
    GGUFSchema,
    MalformedFileException,
    ONNXSchema,
    OtherFileSchema,
    PickleSchema,
    SafetensorsSchema,
    UnknownFormatException,
)
from kamiwaza_sdk.formats.containers import archive as archive_module
from kamiwaza_sdk.formats.containers import packed as packed_module
from kamiwaza_sdk.formats.containers.contents import MAX_DEPTH
from kamiwaza_sdk.formats.kinds import KINDS
from kamiwaza_sdk.formats.schemas.files import OtherFormat
from tests.formats.kinds import ARCHIVES, BY_HEAD, NUMBERS, tarred, zipped
from tests.formats.making import Ranges, inspect_bytes, safetensors_file
from tests.formats.test_gguf import head as gguf_file
from tests.formats.test_pickles import WEIGHTS, named

EVIL = named("os", "system")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "lz4": lz4.frame.compress,
}


def other(data: bytes, path: Path) -> OtherFileSchema:
    schema = inspect_bytes(data, path)
    assert isinstance(schema, OtherFileSchema)
    return schema


@pytest.mark.parametrize(("kind", "data"), [(kind, data) for kind, all_ in BY_HEAD.items() for data in all_])
async def test_first_bytes_identify_each_kind_without_a_verdict(kind: str, data: bytes, tmp_path: Path) -> None:
    schema = other(data, tmp_path / "file")
    assert (schema.format, schema.verdict, schema.pickles, schema.size) == (kind, None, 0, len(data))
    assert schema.reason
    assert OtherFileSchema.model_validate_json(schema.model_dump_json()) == schema
    assert await Ranges(data, path="file").inspect() == schema


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("kind", ARCHIVES)
def test_names_identify_each_archive_without_a_verdict(kind: str, method: int, tmp_path: Path) -> None:
    for before in (b"", b"#!/usr/bin/env python3\n"):
        schema = other(before + zipped(ARCHIVES[kind], method=method), tmp_path / "file")
        assert (schema.format, schema.unread) == (kind, ())
        assert schema.verdict == (
            "safe" if kind == "numpy" and not before else "suspicious" if kind == "numpy" else None
        )


def test_every_line_of_the_table_is_tested() -> None:
    by_content = {kind.name for kind in KINDS if kind.begins or kind.holds}
    assert by_content <= BY_HEAD.keys() | ARCHIVES.keys() | {"nemo", "torchscript"}


def test_every_line_of_the_table_is_in_the_type() -> None:
    assert {kind.name for kind in KINDS} == set(get_args(OtherFormat))


def test_every_line_of_the_table_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "formats.md").read_text()
    assert [kind.name for kind in KINDS if f"`{kind.name}`" not in page] == []


def test_a_pickle_decides_the_verdict_on_any_archive(tmp_path: Path) -> None:
    for kind, members in ARCHIVES.items():
        schema = inspect_bytes(zipped(members | {"x/data.pkl": EVIL}), tmp_path / "file")
        assert isinstance(schema, OtherFileSchema | PickleSchema)
        assert schema.verdict == "dangerous", kind
    harmless = other(zipped(ARCHIVES["jar"] | {"x/data.pkl": WEIGHTS}), tmp_path / "file")
    assert (harmless.verdict, harmless.pickles) == (None, 1)


@pytest.mark.parametrize("program", BY_HEAD["program"])
def test_an_archive_behind_a_program_is_scanned(program: bytes, tmp_path: Path) -> None:
    schema = other(program + zipped({"a.txt": b"text"}), tmp_path / "file")
    assert (schema.format, schema.verdict) == ("program", None)
    schema = other(program + zipped({"m/data.pkl": EVIL}), tmp_path / "model.pt")
    assert (schema.format, schema.verdict) == ("program", "dangerous")


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_pickles_are_scanned(packer: str, tmp_path: Path) -> None:
    for name in ("model.joblib", "model.pkl.gz", "data"):
        for data, verdict in ((WEIGHTS, "safe"), (EVIL, "dangerous")):
            schema = inspect_bytes(PACKERS[packer](data), tmp_path / name)
            assert isinstance(schema, PickleSchema)
            assert (schema.container, schema.verdict, schema.unread) == (packer, verdict, ())


@pytest.mark.parametrize("packer", PACKERS)
def test_consecutive_streams_are_read_as_one(packer: str, tmp_path: Path) -> None:
    pack = PACKERS[packer]
    schema = inspect_bytes(pack(EVIL[:9]) + pack(b"") + pack(EVIL[9:]), tmp_path / "model.joblib")
    assert isinstance(schema, PickleSchema)
    assert [(one.module, one.name) for one in schema.imports] == [("os", "system")]


@pytest.mark.parametrize("method", ["zlib", "gzip", "bz2", "lzma", "xz", "lz4"])
def test_packed_files_of_joblib_are_scanned_like_plain_ones(method: str, tmp_path: Path) -> None:
    import joblib  # type: ignore[import-untyped]  # it has no types

    model = {"a": np.arange(30_000.0), "b": [1, 2], "c": np.array(["text"], dtype=object)}
    joblib.dump(model, tmp_path / "plain.joblib")
    joblib.dump(model, tmp_path / "packed.joblib", compress=(method, 3))
    plain = inspect_bytes((tmp_path / "plain.joblib").read_bytes(), tmp_path / "plain.joblib")
    packed = inspect_bytes((tmp_path / "packed.joblib").read_bytes(), tmp_path / "packed.joblib")
    assert isinstance(plain, PickleSchema)
    assert isinstance(packed, PickleSchema)
    assert (packed.verdict, packed.imports, packed.findings) == (plain.verdict, plain.imports, plain.findings)
    assert plain.verdict == "suspicious"


def test_lz4_streams_without_the_package_are_unread_and_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = PACKERS["lz4"](EVIL)
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    schema = other(packed, tmp_path / "model.joblib")
    assert (schema.format, schema.verdict) == ("lz4", None)
    assert schema.reason == "it is lz4: packed, and not looked into, as the package lz4 is not installed"
    assert schema.unread == (schema.reason,)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_nemo_archives_are_scanned_down_to_their_weights(mode: str, form: int, tmp_path: Path) -> None:
    for weights, verdict in ((WEIGHTS, None), (EVIL, "dangerous")):
        members = {
            "model_config.yaml": b"a: 1\n",
            "model_weights.ckpt": zipped({"m/data.pkl": weights, "m/data/0": b"x"}),
        }
        schema = other(tarred(members, mode=mode, form=form), tmp_path / "model.nemo")
        assert (schema.format, schema.verdict, schema.pickles, schema.unread) == ("nemo", verdict, 1, ())


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_long_names_of_a_tar_archive_are_read(form: int, tmp_path: Path) -> None:
    torn = named("decimal", "Context").removesuffix(b"(tR.")
    name = f"{'directory/' * 20}model.pkl"  # only by its name is what breaks off a pickle
    schema = inspect_bytes(tarred({name: torn, "b.txt": b"text"}, form=form), tmp_path / "file.tar")
    assert isinstance(schema, PickleSchema)
    assert (schema.container, schema.verdict) == ("tar", "suspicious")


def nested(levels: int, *, pack: Callable[[bytes], bytes]) -> bytes:
    data = EVIL
    for _ in range(levels):
        data = pack(data)
    return data


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda data: zipped({"a": data}),
        lambda data: zipped({"a": data}, method=zipfile.ZIP_DEFLATED),
        lambda data: tarred({"a": data}),
        lambda data: tarred({"a": data}, mode="w:gz") if len(data) < 100 else zipped({"a": data}),
    ],
)
def test_nested_archives_are_scanned_up_to_a_depth(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    seen = inspect_bytes(nested(MAX_DEPTH - 1, pack=pack), tmp_path / "file")
    assert isinstance(seen, PickleSchema)
    assert seen.verdict == "dangerous"
    deeper = other(nested(MAX_DEPTH + 1, pack=pack), tmp_path / "file")
    assert deeper.verdict is None
    assert f"more than {MAX_DEPTH} deep" in deeper.unread[0]


def test_contents_over_the_limit_are_reported_as_unread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packed_module, "MAX_UNPACKED", 2**20)
    data = tarred({"a": EVIL, "b": bytes(2**22), "c": EVIL}, mode="w:gz")
    schema = inspect_bytes(data, tmp_path / "file.tar.gz")
    assert isinstance(schema, PickleSchema)
    assert (schema.verdict, schema.pickles) == ("dangerous", 1)
    assert "unfold to more than" in schema.unread[0]
    long = b"\x80\x04B" + struct.pack("<I", 2**22) + bytes(2**22) + b"."
    weights = inspect_bytes(zipped({"data.pkl": long}, method=zipfile.ZIP_DEFLATED), tmp_path / "model.pt")
    assert isinstance(weights, PickleSchema)
    assert weights.verdict == "suspicious"
    assert "unfold to more than" in weights.findings[0]
    assert weights.unread == weights.findings


def test_large_archives_inside_of_streams_are_reported_as_unread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archive_module, "MAX_IN_MEMORY", 1000)
    inner = zipped({"data.pkl": EVIL, "b": bytes(2000)})
    assert "not looked into" in other(gzip.compress(inner), tmp_path / "file").unread[0]
    stored = inspect_bytes(tarred({"a.zip": inner}), tmp_path / "file")
    assert isinstance(stored, PickleSchema)
    assert stored.verdict == "dangerous"


def test_damaged_streams_are_reported_as_unread(tmp_path: Path) -> None:
    for packer in ("gzip", "bzip2", "xz", "lz4"):
        schema = other(PACKERS[packer](b"text" * 5000)[:-9], tmp_path / "file")
        assert (schema.format, schema.verdict) == (packer, None)
    cut = tarred({"a": b"text" * 500, "b": bytes(9000)}, mode="w:gz")[:-40]
    assert other(cut, tmp_path / "file").unread
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", b"text" * 100)
    assert "packed in a way" in other(file.getvalue(), tmp_path / "file.zip").unread[0]
    assert "no directory" in other(file.getvalue()[:-30], tmp_path / "file.zip").unread[0]


def keras(configuration: object, *, method: int = zipfile.ZIP_STORED) -> bytes:
    return zipped(ARCHIVES["keras"] | {"config.json": json.dumps(configuration).encode()}, method=method)


def layer(name: str, *, module: str | None = "keras.layers", **config: object) -> dict[str, object]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def test_code_in_a_configuration_of_keras_is_reported(tmp_path: Path) -> None:
    code = base64.b64encode(marshal.dumps(compile("1", "x", "eval"))).decode()
    function = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    kept = {"class_name": "Sequential", "module": "keras", "config": {"layers": [layer("Lambda", function=function)]}}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        schema = other(keras(kept, method=method), tmp_path / "m.keras")
        assert (schema.format, schema.verdict) == ("keras", "dangerous")
        assert "code of Python" in schema.reason
    named_code = other(keras({"layers": [layer("check_output", module="subprocess")]}), tmp_path / "m.keras")
    assert named_code.verdict == "suspicious"
    assert "subprocess.check_output" in named_code.reason
    assert other(keras({"layers": [layer("Dense", units=3)]}), tmp_path / "m.keras").verdict is None
    broken = ARCHIVES["keras"] | {"config.json": b"{"}
    assert other(zipped(broken), tmp_path / "m.keras").verdict == "suspicious"


def node(loader: str, name: str, **more: object) -> dict[str, object]:
    module, _, own = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": own, **more}


def skops(*nodes: object, method: int = zipfile.ZIP_STORED) -> bytes:
    schema = {**node("ListNode", "builtins.list", content=nodes), "protocol": 2}
    return zipped(ARCHIVES["skops"] | {"schema.json": json.dumps(schema).encode()}, method=method)


def test_untrusted_types_of_skops_are_reported(tmp_path: Path) -> None:
    logistic, ufunc = "sklearn.linear_model._logistic.LogisticRegression", "numpy.log1p"
    nothing = node("JsonNode", "builtins.str", content='"os.system"')
    trusted = [nothing, node("ObjectNode", logistic, content=node("DictNode", "builtins.dict", content={"a": nothing}))]
    known = other(skops(*trusted, node("FunctionNode", ufunc)), tmp_path / "model.skops")
    assert (known.format, known.verdict, known.imports) == ("skops", None, ())
    assert "only types that skops trusts" in known.reason
    # What one loader trusts is not trusted of another.
    for one, names in [
        (node("FunctionNode", "os.system"), ["os.system"]),
        (node("FunctionNode", logistic), [logistic]),
        (node("ObjectNode", "builtins.dict"), ["builtins.dict"]),
        (node("NoSuchNode", "builtins.dict"), ["builtins.dict"]),
        (node("MethodNode", "a.B", content={"obj": node("ObjectNode", "a.B"), "func": "c"}), ["a.B", "a.B.c"]),
        (node("DictNode", "builtins.dict", content={"__class__": node("TypeNode", "a.B")}), ["a.B"]),
    ]:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            found = other(skops(*trusted, one, method=method), tmp_path / "model.skops")
            assert sorted(f"{one.module}.{one.name}" for one in found.imports) == names
            assert found.verdict == ("dangerous" if "os.system" in names else "suspicious")
            assert names[0] in found.reason


def test_unreadable_schemas_of_skops_are_reported(tmp_path: Path) -> None:
    for text in (b"[", b"[]", b'{"a":' + b"[" * 300, b" " * (16 * 1024**2 + 1)):
        schema = other(zipped(ARCHIVES["skops"] | {"schema.json": text}), tmp_path / "model.skops")
        assert (schema.format, schema.verdict) == ("skops", None)
        assert schema.reason == schema.unread[0]
        assert "schema cannot be read" in schema.reason


def test_types_of_skops_have_the_same_limit_as_imports(tmp_path: Path) -> None:
    schema = other(skops(*(node("ObjectNode", f"a.B{index}") for index in range(10_001))), tmp_path / "model.skops")
    assert (schema.verdict, len(schema.imports)) == ("suspicious", 10_000)
    assert schema.unread == ("of 10001 names that it imports, only 10000 are looked at",)


def nemo(configuration: str, *, mode: str = "w") -> bytes:
    return tarred({"./model_config.yaml": configuration.encode(), "./vocabulary.txt": b"a\nb\n"}, mode=mode)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_other_code_in_a_configuration_of_nemo_is_reported(mode: str, tmp_path: Path) -> None:
    own = "target: x.Y\nencoder:\n  _target_: nemo.collections.asr.modules.ConformerEncoder\n  layers: [1, 2]\n"
    known = other(nemo(own, mode=mode), tmp_path / "model.nemo")
    assert (known.format, known.verdict, known.imports) == ("nemo", None, ())
    assert known.reason == "its configuration names no code but NeMo's, which is not read"
    for line, name, verdict in [
        ("a: {b: [{_target_: os.system}]}", "os.system", "dangerous"),
        ('"_targ\\x65t_": builtins.exec', "builtins.exec", "dangerous"),
        ("? _target_\n: some.Class", "some.Class", "suspicious"),
        ("a: &x {_target_: some.Class}\nb: *x", "some.Class", "suspicious"),
        ("_target_: nemoral.Class", "nemoral.Class", "suspicious"),
        ("_target_: [a]", "?.?", "dangerous"),
        ("_target_: ${other}", "?.${other}", "dangerous"),
    ]:
        found = other(nemo(f"{own}{line}\n", mode=mode), tmp_path / "model.nemo")
        assert [f"{one.module}.{one.name}" for one in found.imports] == [name]
        assert (found.verdict, found.reason) == (verdict, f"its configuration names other code: {name}")


def test_unreadable_configurations_of_nemo_are_reported(tmp_path: Path) -> None:
    for text in (
        "a: [",
        "a: \xff\x01",
        "- " * 70 + "a",
        f"a: {'x' * 256 * 1024}",
        "a: &a [1]\n" + "b: [*a]\n" * 3 + "---\n",
    ):
        schema = other(nemo(text), tmp_path / "model.nemo")
        assert (schema.format, schema.verdict) == ("nemo", None)
        assert schema.reason == schema.unread[0]
        assert "configuration" in schema.reason


def test_hdf5_without_early_attributes_may_be_keras(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.h5", "w", libver="latest") as file:
        file["weights"] = np.zeros(100_000)
        file.attrs["model_config"] = "x" * 60_000
        for index in range(20):  # so many are stored apart, in a heap
            file.attrs[f"note_{index}"] = "y" * 1000
        file.attrs["keras_version"] = "3.0"
    data = (tmp_path / "model.h5").read_bytes()
    assert b"keras_version" not in data[:65_536]
    schema = other(data, tmp_path / "model.h5")
    assert (schema.format, schema.verdict) == ("hdf5", None)
    assert (
        schema.reason
        == "it may be a model of Keras, which keeps the code of Lambda layers in such files; it is not read"
    )


def test_code_of_torchscript_is_reported(tmp_path: Path) -> None:
    members = {"m/data.pkl": WEIGHTS, "m/constants.pkl": b"\x80\x02).", "m/code/__torch__.py": b"class A: pass\n"}
    schema = other(zipped(members), tmp_path / "m.pt")
    assert (schema.format, schema.verdict, schema.pickles) == ("torchscript", "suspicious", 2)
    assert "m/code/__torch__.py" in schema.reason
    evil = other(zipped(members | {"m/data.pkl": EVIL}), tmp_path / "m.pt")
    assert evil.verdict == "dangerous"


def test_code_in_a_package_of_pytorch_is_reported_also_under_safe_names(tmp_path: Path) -> None:
    package = ARCHIVES["torchpackage"] | {"p/m/m.pkl": WEIGHTS}
    plain = other(zipped(package), tmp_path / "model.pt")
    assert (plain.format, plain.verdict, plain.pickles) == ("torchpackage", None, 1)
    schema = other(zipped(package | {"p/collections.py": b"import os"}), tmp_path / "model.pt")
    assert (schema.format, schema.verdict) == ("torchpackage", "suspicious")
    assert schema.reason == "it holds code of Python, which loading it runs: p/collections.py"


@pytest.mark.parametrize("size", [512, 2048, 32_768])
def test_hdf5_behind_a_user_block_is_hdf5(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    for attribute, kind in (("note", "hdf5"), ("keras_version", "keras")):
        with h5py.File(path, "w", userblock_size=size) as file:
            file.attrs[attribute] = "3.0"
        content = b"a note\0".ljust(size, b"\1") + path.read_bytes()[size:]
        for name in ("data", "noted.h5"):
            assert other(content, tmp_path / name).format == kind
        # A tar archive has its header where such a block is.
        assert other(tarred({"model.h5": content[size:]}), tmp_path / "models.tar").format == "tar"


def test_trees_of_flax_may_begin_with_other_leaves(tmp_path: Path) -> None:
    array = msgpack.ExtType(1, b"\x93\x91\x01\xa2f4\xc4\x04" + bytes(4))
    others = {"a": 1, "b": -70_000, "c": None, "d": 1.5, "e": {}, "f": {"g": "text", "h": 2**40}, "i": True}
    assert other(msgpack.packb(others | {"w": array}), tmp_path / "flax_model.msgpack").format == "flax"
    for tree in (others, {"a": [1], "w": array}, {1: array}, {}, [array]):
        with pytest.raises(UnknownFormatException):
            inspect_bytes(msgpack.packb(tree), tmp_path / "data.msgpack")


def test_programs_in_exports_of_pytorch_are_reported(tmp_path: Path) -> None:
    plain = other(zipped(ARCHIVES["pt2"]), tmp_path / "m.pt2")
    assert plain.verdict is None
    for name, data in (("m/data/aotinductor/model/a.so", b""), ("m/data/aotinductor/model/b", BY_HEAD["program"][0])):
        schema = other(zipped(ARCHIVES["pt2"] | {name: data}), tmp_path / "m.pt2")
        assert (schema.format, schema.verdict) == ("pt2", "dangerous")
        assert name in schema.reason


def test_only_completely_read_arrays_are_safe(tmp_path: Path) -> None:
    assert other(NUMBERS, tmp_path / "a.npy").verdict == "safe"
    assert other(NUMBERS + b"x", tmp_path / "a.npy").verdict == "suspicious"
    objects = io.BytesIO()
    np.savez(objects, a=np.array([1, "text"], dtype=object))
    schema = inspect_bytes(objects.getvalue(), tmp_path / "a.npz")
    assert isinstance(schema, PickleSchema)
    numbers = io.BytesIO()
    np.savez_compressed(numbers, a=np.arange(10_000.0))
    assert (other(numbers.getvalue(), tmp_path / "a.npz").format, schema.container) == ("numpy", "zip")


def catalogue(texts: int) -> bytes:
    """Return a catalogue of gettext: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html."""
    return struct.pack("<7I", 0x950412DE, 0, texts, 28, 28 + 8 * texts, 0, 0) + bytes(16 * texts)


@pytest.mark.parametrize("texts", range(100, 140))
def test_catalogues_of_gettext_are_not_safetensors(texts: int, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatException):
        inspect_bytes(catalogue(texts), tmp_path / "a.mo")


@pytest.mark.parametrize("name", ["weights", "model.bin", "model.pt", "model.ckpt", "a.dat", "a.sft"])
def test_weights_under_other_names_are_found(name: str, tmp_path: Path) -> None:
    for header in ("{}", "{}" + " " * 382):  # that of 384 bytes begins as a pickle does
        assert isinstance(inspect_bytes(safetensors_file(header), tmp_path / name), SafetensorsSchema)
    assert isinstance(inspect_bytes(gguf_file(), tmp_path / name), GGUFSchema)


def test_a_pickle_that_begins_like_safetensors_is_a_pickle(tmp_path: Path) -> None:
    # A number of nine bytes, which end as a header of safetensors begins, then what is called.
    data = b"G" + b"\1\0\0" + bytes(4) + b"{" + b"0" + EVIL
    for name in ("model.pt", "pytorch_model.bin", "data"):
        schema = inspect_bytes(data, tmp_path / name)
        assert isinstance(schema, PickleSchema)
        assert schema.verdict == "dangerous"


@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors", "model.onnx"])
def test_other_kinds_under_the_name_of_a_read_format_are_refused(name: str, tmp_path: Path) -> None:
    for data, kind in (
        (BY_HEAD["tflite"][0], "tflite"),
        (zipped(ARCHIVES["zip"]), "zip"),
        (BY_HEAD["hdf5"][0], "hdf5"),
    ):
        with pytest.raises(MalformedFileException, match=kind):
            inspect_bytes(data, tmp_path / name)


@pytest.mark.parametrize("magic", [b"GGML", bytes(4), b"ggjt", b"\x89HDF"])
def test_gguf_files_with_another_magic_number_are_refused_with_it(magic: bytes, tmp_path: Path) -> None:
    with pytest.raises(MalformedFileException) as caught:
        inspect_bytes(magic + gguf_file()[4:], tmp_path / "model.gguf")
    assert repr(magic) in caught.value.reason


def test_onnx_needs_a_graph_or_operators(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []), producer_name="tests")
    assert isinstance(inspect_bytes(model.SerializeToString(), tmp_path / "model"), ONNXSchema)
    model.ClearField("graph")
    for data in (b"\x08\x08", b"\x08\x08\x12\x07pytorch", b"\x08\x04\x12\x03abc\x3a\x02\xff\xff", b"\x08\x00\x3a\x00"):
        with pytest.raises(UnknownFormatException):
            inspect_bytes(data, tmp_path / "model")


def test_other_kinds_under_the_name_of_a_pickle_are_refused(tmp_path: Path) -> None:
    for data, kind in ((zipped(ARCHIVES["zip"]), "zip"), (tarred({"a.txt": b"text"}), "tar")):
        with pytest.raises(MalformedFileException, match=f"is none: it is {kind}"):
            inspect_bytes(data, tmp_path / "model.pkl")


SEEDS = [
    *(zipped(members, method=method) for members in ARCHIVES.values() for method in (0, 8)),
    *(data for all_ in BY_HEAD.values() for data in all_),
    *(pack(data) for pack in PACKERS.values() for data in (EVIL, tarred({"a": EVIL, "b.pkl": WEIGHTS}))),
    *(tarred({"a/" * 60 + "x.pkl": EVIL, "m.pt": zipped({"m/data.pkl": WEIGHTS})}, form=form) for form in range(3)),
]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.binary(max_size=6)), min_size=1, max_size=4),
    name=st.sampled_from(["file", "m.pt", "m.joblib", "m.npz", "m.keras", "m.gguf"]),
)
def test_files_with_any_bytes_changed_are_described_or_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, changes: list[tuple[int, bytes]], name: str
) -> None:
    data = bytearray(seed)
    for place, written in changes:
        at = place % (len(data) or 1)
        data[at : at + max(len(written), 1)] = written
    with suppress(FormatException):
        inspect_bytes(bytes(data), tmp_path_factory.getbasetemp() / name)


def hdf5_file(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(10)
    return path.read_bytes()


def keras_file(path: Path) -> bytes:
    """Return what Keras before version 3 saved: attributes of the file, and of its groups."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"keras_version": "2.15.0", "backend": "tensorflow", "model_config": "{}"})
        file.create_group("model_weights/dense")["kernel:0"] = np.zeros((30, 30))
    return path.read_bytes()


def flax_file(path: Path) -> bytes:
    """Return a tree of arrays as Flax packs them: as an extension of MessagePack, with shape and type."""
    array = msgpack.ExtType(1, msgpack.packb(((2, 3), "float32", bytes(24))))
    path.write_bytes(msgpack.packb({"params": {"dense": {"kernel": array, "bias": array}}}))
    return path.read_bytes()


def sentencepiece_file(path: Path) -> bytes:
    texts = [f"the quick brown fox {n} jumps over the lazy dog {7 * n}" for n in range(300)]
    trainer = sentencepiece.SentencePieceTrainer
    trainer.train(sentence_iterator=iter(texts), model_prefix=str(path), vocab_size=90, minloglevel=2)
    return path.with_name(f"{path.name}.model").read_bytes()


@pytest.mark.parametrize(
    ("kind", "make"),
    [("hdf5", hdf5_file), ("keras", keras_file), ("flax", flax_file), ("sentencepiece", sentencepiece_file)],
)
def test_files_of_other_libraries_are_recognised(kind: str, make: Callable[[Path], bytes], tmp_path: Path) -> None:
    schema = other(make(tmp_path / "written"), tmp_path / "file")
    assert (schema.format, schema.verdict) == (kind, None)


def test_members_with_the_same_name_count_once(tmp_path: Path) -> None:
    schema = inspect_bytes(zipped({"data.pkl": pickle.dumps([1])}), tmp_path / "model.zip")
    assert isinstance(schema, PickleSchema)
    assert (schema.container, schema.pickles, schema.verdict) == ("zip", 1, "safe")
