"""What can be said of files whose inside is not read, or only for what is dangerous in it."""

from typing import Literal, TypeAlias

from kamiwaza_sdk.formats.schemas.base import FileSchema
from kamiwaza_sdk.formats.schemas.pickles import PickleImportSchema, PickleVerdict

__all__ = ["OtherFileSchema", "OtherFormat"]

#: What files are of which little or nothing is read.
OtherFormat: TypeAlias = Literal[
    "7z",
    "bzip2",
    "coreml",
    "ctranslate2",
    "dduf",
    "executorch",
    "fasttext",
    "flax",
    "ggla",
    "ggml",
    "gzip",
    "hdf5",
    "imatrix",
    "jar",
    "keras",
    "lz4",
    "lzma",
    "mlc",
    "nemo",
    "npy",
    "numpy",
    "openvino",
    "program",
    "pt2",
    "rar",
    "rwkv",
    "savedmodel",
    "sentencepiece",
    "skops",
    "spacy",
    "tar",
    "tensorboard",
    "tensorrt",
    "tflite",
    "torchpackage",
    "torchscript",
    "whl",
    "xz",
    "zip",
    "zlib",
    "zstandard",
]


class OtherFileSchema(FileSchema):
    r"""What a file is, of which little or nothing is read: an archive, a program, weights of another framework.

    Attributes:
        size: Of the file, in bytes.
        format: What it is: ``keras``, ``tflite``, ``zip``, ``program``… The page of formats lists them all.
        is_weights: Whether files of this format are weights, so that `Policy` is asked about the format.
        verdict: The worst of what was found in it; `None` where nothing was found, which does not make it safe. Only
            what was read to its end, arrays of numbers, is ``safe``.
        reason: Why there is no verdict, or what it rests on.
        imports: What pickles in it import, and other code that loading it imports, as far as that is read: types that
            skops does not trust, what NeMo's configuration names. Sorted by module and name, each once.
        pickles: How many pickles were looked through in it.
        findings: What speaks against it, for people to read: code in it, what is damaged.
        unread: What of it is packed and was not looked into, though there can be pickles in it, and why.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(24))
        >>> inspected = inspect_file("model.tflite")
        >>> inspected.format, inspected.verdict is None
        ('tflite', True)
    """

    format: OtherFormat
    is_weights: bool
    verdict: PickleVerdict | None = None
    reason: str
    imports: tuple[PickleImportSchema, ...] = ()
    pickles: int = 0
    findings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
