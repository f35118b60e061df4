"""Makes a small file of each kind, which begins as that of its own program."""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Final

import lz4.frame  # type: ignore[import-untyped]  # it has no types

__all__ = ["ARCHIVES", "BY_HEAD", "tarred", "zipped"]


def zipped(members: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(members: Mapping[str, bytes], *, mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:  # type: ignore[call-overload]  # of any mode
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _field(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | 2, len(body)]) + body


def _varint_tag(number: int) -> bytes:
    return bytes([(number << 3 | 2) & 0x7F | 0x80, number << 3 >> 7])


def _piece(text: str) -> bytes:
    return _field(1, _field(1, text.encode()) + b"\x15" + bytes(4) + b"\x18\x02")


def _event() -> bytes:
    event = b"\x09" + struct.pack("<d", 1.7e9) + b"\x1a" + bytes([13]) + b"brain.Event:2"
    return struct.pack("<QI", len(event), 0) + event + bytes(4)


_NAME: Final = b"blk.0.attn_q.weight"
_EXT: Final = b"\xc7\x0a\x01" + b"\x93\x91\x01\xa2f4\xc4\x04" + bytes(4)
HDF5: Final = b"\x89HDF\r\n\x1a\n" + bytes(56)

#: First bytes by kind: what the public descriptions of each format say, or what their libraries wrote.
BY_HEAD: Final[dict[str, list[bytes]]] = {
    "program": [
        b"\x7fELF\2\1\1" + bytes(9),
        b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0",
        b"MZqFpD='\n" + bytes(64),
        b"\xcf\xfa\xed\xfe" + bytes(28),
        b"\xca\xfe\xba\xbe\0\0\0\2" + bytes(40),
        b"\0asm\1\0\0\0",
    ],
    "hdf5": [HDF5],
    "keras": [HDF5 + b"layer_names" + bytes(8), HDF5 + b"keras_version" + bytes(8)],
    "tflite": [b"\x1c\0\0\0TFL3" + bytes(24)],
    "executorch": [b"\x38\0\0\0ET12" + bytes(24)],
    "tensorrt": [b"ftrt" + bytes(28)],
    "ctranslate2": [struct.pack("<IH", 6, 16) + b"TransformerSpec\0" + struct.pack("<I", 7)],
    "fasttext": [struct.pack("<ii", 793712314, 12) + bytes(40)],
    "rwkv": [struct.pack("<II", 0x67676D66, 101) + bytes(24)],
    "ggml": [
        struct.pack("<Ii", 0x67676D6C, 51864) + bytes(40),
        struct.pack("<II", 0x67676A74, 3) + bytes(24),
        struct.pack("<II", 0x67676D66, 1) + bytes(24),
    ],
    "ggla": [struct.pack("<II", 0x67676C61, 1) + bytes(24)],
    "savedmodel": [b"\x08\x01" + _field(2, _field(1, _field(4, b"serve")) + _field(2, b"node" * 9))],
    "coreml": [
        b"\x08\x04" + _field(2, _field(1, _field(1, b"input"))) + _varint_tag(500) + b"\x03\x0a\x01x",
        struct.pack("<II", 2, 2) + bytes(56) + b"\xef\xbe\xad\xde" + bytes(60),
    ],
    "openvino": [b'<?xml version="1.0"?>\n<net name="model" version="11">\n'],
    "flax": [b"\x82\xa7encoder\x81\xa6kernel" + _EXT + b"\xa1b" + _EXT, b"\xde\x00\x10\xa1a" + _EXT],
    "spacy": [b"\x84\xa5nodes\x91\x81\xa5index\x00\xa5attrs\x91\x80\xa6params\x91\x80\xa5shims\x91\x90"],
    "sentencepiece": [_piece("<unk>") + _piece("<s>") + _piece("</s>") + _piece("▁the")],
    "imatrix": [struct.pack("<ii", 200, len(_NAME)) + _NAME + struct.pack("<ii", 9, 2) + bytes(8)],
    "tensorboard": [_event()],
    "lz4": [lz4.frame.compress(b"text")],
    "zstandard": [b"\x28\xb5\x2f\xfd" + bytes(20)],
    "7z": [b"7z\xbc\xaf\x27\x1c" + bytes(20)],
    "rar": [b"Rar!\x1a\x07\x01\x00" + bytes(20)],
}

_ARRAY: Final = (
    b"\x93NUMPY\x01\x00\x46\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".ljust(69) + b"\n"
)
#: An array of two numbers, as NumPy writes it.
NUMBERS: Final = _ARRAY + bytes(8)

#: What archives hold, by kind.
ARCHIVES: Final[dict[str, dict[str, bytes]]] = {
    "keras": {
        "metadata.json": b'{"keras_version": "3.0"}',
        "config.json": json.dumps({"module": "keras", "class_name": "Sequential", "config": {}}).encode(),
        "model.weights.h5": HDF5,
    },
    "dduf": {"model_index.json": b"{}", "vae/config.json": b"{}", "vae/model.safetensors": bytes(8)},
    "torchpackage": {"p/.data/extern_modules": b"sys\n", "p/.data/version": b"6\n", "p/.data/0.storage": bytes(8)},
    "skops": {
        "1.npy": NUMBERS,
        "schema.json": b'{"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode"}',
    },
    "numpy": {"arr_0.npy": NUMBERS, "w.npy": NUMBERS},
    "whl": {"a/__init__.py": b"", "a-1.dist-info/WHEEL": b"Wheel-Version: 1.0\n", "a-1.pth": b"import os; a = 1\n"},
    "jar": {"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n", "A.class": b"\xca\xfe\xba\xbe\0\0\0\x34"},
    "coreml": {"m.mlmodelc/coremldata.bin": bytes(40), "m.mlmodelc/model.mil": b"program(1.0)"},
    "pt2": {"m/archive_format": b"pt2", "m/models/model.json": b"{}"},
    "zip": {"readme.txt": b"text", "images/1.png": b"\x89PNG\r\n\x1a\n"},
}
