"""The kinds of files: how each is recognised by its first bytes, by its name, or by the names in an archive.

A new kind is a new line in `KINDS`. Of two lines that match, the first counts. `inspection` has the readers of formats.
"""

import re
from collections.abc import Callable, Collection, Container
from pathlib import PurePosixPath
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from kamiwaza_sdk.formats import kind_rules
from kamiwaza_sdk.formats.kind_rules import is_onnx
from kamiwaza_sdk.formats.layouts.names import ENDINGS, suffix_of, weight_format
from kamiwaza_sdk.formats.schemas.files import OtherFormat

DetectedFormat: TypeAlias = Literal["safetensors", "gguf", "onnx", "pickle"]

#: The formats by ending; arrays can hold pickles.
_NAMES: Final[dict[str, DetectedFormat]] = {
    ending: kind for kind in get_args(DetectedFormat) for ending, named in ENDINGS.items() if named == kind
} | {".npy": "pickle", ".npz": "pickle"}
#: The endings of pickles, and of files that can hold some.
PICKLE_ENDINGS: Final = frozenset(ending for ending, kind in _NAMES.items() if kind == "pickle")
#: Endings that other files have, too: many formats are called ``.bin``, and most arrays are numbers.
_VAGUE: Final = frozenset({".bin", ".npy", ".npz"})
#: The endings of packed files, which follow the ending of the unpacked one.
PACKED_SUFFIXES: Final = frozenset({".bz2", ".gz", ".lz4", ".lzma", ".xz", ".z", ".zst"})
#: Zip archives, empty ones, and arrays of NumPy: all can hold pickles.
_CONTAINERS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")
_HIGHEST_PICKLE: Final = 5
#: The largest header that safetensors allow. Catalogues of gettext begin alike, and seem to have a larger one.
_LARGEST_HEADER: Final = 100_000_000


def unpacked_name(path: str) -> str:
    """Return the name of a packed file without the ending that says so; joblib packs files and keeps their names."""
    return str(PurePosixPath(path).with_suffix("")) if suffix_of(path) in PACKED_SUFFIXES else path


def is_pickle_name(path: str) -> bool:
    """Return whether the name alone says that a file is a pickle, or holds some."""
    ending = suffix_of(path)
    return _NAMES.get(ending) == "pickle" and ending not in _VAGUE


def named_format(path: str) -> DetectedFormat | None:
    """Return the format that a name says, for a vague ending the likeliest; `None` where it says none."""
    return _NAMES.get(suffix_of(path))


def _is_gguf(head: bytes) -> bool:
    return head.startswith(b"GGUF")


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and 1 < int.from_bytes(head[:8], "little") <= _LARGEST_HEADER


def _is_pickle(head: bytes) -> bool:
    return head.startswith(_CONTAINERS) or (head[:1] == b"\x80" and head[1:2] <= bytes([_HIGHEST_PICKLE]))


#: How the first bytes identify each format, in this order.
_BY_CONTENT: Final[tuple[tuple[DetectedFormat, Callable[[bytes], bool]], ...]] = (
    ("gguf", _is_gguf),
    ("safetensors", _is_safetensors),
    ("pickle", _is_pickle),
    ("onnx", is_onnx),
)


def candidates(head: bytes, path: str) -> list[DetectedFormat]:
    """Return the formats that a file can have by its first bytes and its name, the likeliest first.

    A safetensors file whose header has 384 bytes begins as a pickle does. Then the name says which program reads it.
    """
    named = named_format(path)
    found = [kind for kind, begins in _BY_CONTENT if begins(head)]
    if named is not None and named not in found:
        found.append(named)
    if named == "pickle":
        found.sort(key=lambda kind: kind == "safetensors")
    return found


def detect(head: bytes, path: str) -> DetectedFormat | None:
    """Return the format of a file by its first bytes and its name."""
    return next(iter(candidates(head, path)), None)


_ELF: Final = b"\x7fELF"
_MACH_O: Final = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")
#: Mach-O for several processors. Classes of Java begin so, too, with a version in place of the number.
_FAT: Final = b"\xca\xfe\xba\xbe"
_MOST_PROCESSORS: Final = 32
_DOS: Final = b"MZ"
#: Programs that run on several systems: https://justine.lol/ape.html
_PORTABLE: Final = (b"MZqFpD=", b"jartsr=")
_PE_AT: Final = slice(0x3C, 0x40)
_PE: Final = b"PE\0\0"


def is_program(head: bytes) -> bool:
    """Return whether a file is a program or a library, by its first 4 KiB."""
    if head.startswith((_ELF, *_MACH_O, *_PORTABLE)):
        return True
    if head.startswith(_FAT):
        return 0 < int.from_bytes(head[4:8], "big") <= _MOST_PROCESSORS
    place = int.from_bytes(head[_PE_AT], "little")
    return head.startswith(_DOS) and head[place : place + len(_PE)] == _PE


class Kind(NamedTuple):
    """A kind of files.

    Attributes:
        name: The name in `OtherFileSchema.format`.
        is_weights: Whether it is a format of weights.
        reason: Why there is no verdict.
        begins: Recognises first bytes.
        holds: Recognises the names in an archive.
    """

    name: OtherFormat
    is_weights: bool
    reason: str
    begins: Callable[[bytes], bool] | None = None
    holds: Callable[[Collection[str]], bool] | None = None


def _mark(*marks: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks, at)


def _any(*patterns: str) -> Callable[[Collection[str]], bool]:
    """Return whether each of these patterns matches a name in an archive."""
    forms = [re.compile(pattern) for pattern in patterns]
    return lambda names: all(any(map(form.fullmatch, names)) for form in forms)


def _all(pattern: str) -> Callable[[Collection[str]], bool]:
    """Return whether there are files in an archive, and this pattern matches all of their names."""
    form = re.compile(pattern)
    return lambda names: bool(files := [name for name in names if name[-1:] != "/"]) and all(map(form.fullmatch, files))


def _is_skops(names: Collection[str]) -> bool:
    return "schema.json" in names and _all(r"schema\.json|[^/]+\.(npy|npz|bin)")(names)


_UNREAD: Final = "nothing of it is read but what it begins with"
_WALKED: Final = "no pickle is in it, and nothing else in it is read"
_PACKED: Final = "packed, not looked into"
_GRAPH: Final = "it is a graph of operations, which are not read"
_FILES: Final = "it is a graph of operations, which can read and write files, and are not read"
_PROGRAM: Final = "it is a program, which is not read"
_ARRAYS: Final = "arrays of numbers, read to their end"
_KERAS: Final = "its layers are not read but for code in its configuration"
_MAYBE_KERAS: Final = "it may be a model of Keras, which keeps the code of Lambda layers in such files; it is not read"
_HDF5: Final = "Keras keeps the code of Lambda layers in such files, which are not read"
_TYPES: Final = "it names only types that skops trusts, and what is made of them is not read"
_NEMO: Final = "its configuration names no code but NeMo's, which is not read"
_PACKAGE: Final = "it is a package of code, which is not read"
_BESIDE: Final = "weights without a mark, by the files beside them"

KINDS: Final[tuple[Kind, ...]] = (
    Kind("program", is_weights=False, reason=_PROGRAM, begins=is_program),
    Kind("program", is_weights=False, reason=_PROGRAM, begins=_mark(b"\0asm\1\0\0\0")),
    # By the names in an archive.
    Kind("keras", is_weights=True, reason=_KERAS, holds=_any(r"config\.json", r"[^/]*\.weights\.(h5|npz|json)")),
    Kind("torchscript", is_weights=True, reason=_PACKAGE, holds=_any(r"[^/]+/constants\.pkl", r"[^/]+/code/.+")),
    Kind("torchpackage", is_weights=True, reason=_PACKAGE, holds=_any(r"[^/]+/\.data/extern_modules")),
    Kind(
        "pt2", is_weights=True, reason=_GRAPH, holds=_any(r"(.*/)?(archive_format|serialized_exported_program\.json)")
    ),
    Kind("pt2", is_weights=True, reason=_GRAPH, holds=_any(r"(.*/)?data/aotinductor/.+")),
    Kind("dduf", is_weights=True, reason="of the files in it, only pickles are read", holds=_any(r"model_index\.json")),
    Kind("skops", is_weights=True, reason=_TYPES, holds=_is_skops),
    Kind("nemo", is_weights=True, reason=_NEMO, holds=_any(r"(\./)?model_config\.yaml")),
    Kind("coreml", is_weights=True, reason=_GRAPH, holds=_any(r"(.*/)?(coremldata\.bin|com\.apple\.CoreML/.*)")),
    Kind("numpy", is_weights=True, reason=_ARRAYS, holds=_all(r".*\.npy")),
    Kind("whl", is_weights=False, reason=_PACKAGE, holds=_any(r"[^/]+\.dist-info/WHEEL")),
    Kind("jar", is_weights=False, reason=_PACKAGE, holds=_any(r"META-INF/MANIFEST\.MF")),
    Kind("zip", is_weights=False, reason=_WALKED, holds=lambda _: True),
    # By how they are packed.
    Kind("tar", is_weights=False, reason=_WALKED),
    Kind("gzip", is_weights=False, reason=_WALKED),
    Kind("zlib", is_weights=False, reason=_WALKED),
    Kind("bzip2", is_weights=False, reason=_WALKED),
    Kind("xz", is_weights=False, reason=_WALKED),
    Kind("lzma", is_weights=False, reason=_WALKED),
    Kind("lz4", is_weights=False, reason=_WALKED),
    Kind("zstandard", is_weights=False, reason=_PACKED),
    Kind("7z", is_weights=False, reason=_PACKED),
    Kind("rar", is_weights=False, reason=_PACKED),
    Kind("npy", is_weights=False, reason=_ARRAYS),
    # By their first bytes.
    Kind("keras", is_weights=True, reason=_HDF5, begins=kind_rules.is_keras_hdf5),
    Kind("hdf5", is_weights=True, reason=_MAYBE_KERAS, begins=kind_rules.is_hdf5),
    Kind("tflite", is_weights=True, reason=_GRAPH, begins=_mark(b"TFL3", at=4)),
    Kind("executorch", is_weights=True, reason=_GRAPH, begins=kind_rules.is_executorch),
    Kind("tensorrt", is_weights=True, reason="it is code for a GPU, which is not read", begins=_mark(b"ftrt")),
    Kind("ctranslate2", is_weights=True, reason=_UNREAD, begins=kind_rules.is_ctranslate2),
    Kind("fasttext", is_weights=True, reason=_UNREAD, begins=_mark(b"\xba\x16\x4f\x2f")),
    Kind("rwkv", is_weights=True, reason=_UNREAD, begins=kind_rules.is_rwkv),
    Kind("ggml", is_weights=True, reason=_UNREAD, begins=kind_rules.is_ggml),
    Kind("ggla", is_weights=True, reason=_UNREAD, begins=_mark(b"algg")),
    Kind("savedmodel", is_weights=True, reason=_FILES, begins=kind_rules.is_saved_model),
    Kind("coreml", is_weights=True, reason=_GRAPH, begins=kind_rules.is_coreml),
    Kind("openvino", is_weights=True, reason=_GRAPH, begins=kind_rules.is_openvino_graph),
    Kind("flax", is_weights=True, reason=_UNREAD, begins=kind_rules.is_flax),
    Kind("spacy", is_weights=True, reason=_UNREAD, begins=kind_rules.is_spacy),
    Kind("sentencepiece", is_weights=False, reason=_UNREAD, begins=kind_rules.is_sentencepiece),
    Kind("imatrix", is_weights=False, reason=_UNREAD, begins=kind_rules.is_imatrix),
    Kind("tensorboard", is_weights=False, reason=_UNREAD, begins=kind_rules.is_tensorboard),
    # By the files beside them.
    Kind("openvino", is_weights=True, reason=_BESIDE),
    Kind("mlc", is_weights=True, reason=_BESIDE),
)


def kind_of_head(head: bytes) -> Kind | None:
    """Return the kind of a file by its first bytes; `None` where they do not tell."""
    return next((kind for kind in KINDS if kind.begins is not None and kind.begins(head)), None)


def kind_behind_user_block(head: bytes) -> Kind | None:
    """Return the kind of an HDF5 file that begins behind a user block, where its libraries look for it."""
    rest = kind_rules.without_user_block(head)
    return None if rest is head else kind_of_head(rest)


def kind_of_archive(names: Collection[str]) -> Kind:
    """Return the kind of an archive by the names in it."""
    return next(kind for kind in KINDS if kind.holds is not None and kind.holds(names))


def kind_called(name: str) -> Kind:
    """Return the first kind of this name."""
    return next(kind for kind in KINDS if kind.name == name)


def kind_beside(path: str, names: Container[str]) -> Kind | None:
    """Return the kind of a file that only the files beside it tell; `None` where they do not."""
    name = weight_format(path, names)
    return next((kind for kind in KINDS if kind.reason is _BESIDE and kind.name == name), None)
