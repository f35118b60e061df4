"""Makes valid files, or nearly valid ones, that cost their readers as much as they can."""

import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import lz4.frame  # type: ignore[import-untyped]  # it has no types

__all__ = ["HOSTILE", "write_hostile"]

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_BLOCK: Final = 1 << 20

#: Yields the bytes of a file of about that size.
_Maker = Callable[[int], Iterator[bytes]]


def _filled(start: bytes, unit: Callable[[int], bytes], end: bytes, size: int) -> bytes:
    """Return a start, then numbered units until it is large enough, and an end."""
    parts, length, index = [start], len(start), 0
    while length < size:
        parts.append(unit(index))
        length += len(parts[-1])
        index += 1
    return b"".join(parts) + end


def _repeated(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def _safetensors(header: bytes, data: int = 0) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(data)


def _tensors(name: str, entry: Callable[[int], str]) -> _Maker:
    def unit(index: int) -> bytes:
        return f'{"," if index else ""}"{name}{index}":{entry(index)}'.encode()

    def make(size: int) -> Iterator[bytes]:
        yield _safetensors(_filled(b"{", unit, b"}", size))

    return make


def _empty_tensor(index: int, shape: str = "0") -> str:
    return f'{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,0]}}'


def _unordered(size: int) -> Iterator[bytes]:
    count = size // 75
    entries = (
        f'"{index}":{{"dtype":"U8","shape":[1],"data_offsets":[{count - index - 1},{count - index}]}}'
        for index in range(count)
    )
    yield _safetensors(f"{{{','.join(entries)}}}".encode(), data=count)


def _metadata(text: str) -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        def unit(index: int) -> bytes:
            return f'{"," if index else ""}"{index}":"{text}"'.encode()

        yield _safetensors(_filled(b'{"__metadata__":{', unit, b"}}", size))

    return make


def _json_header(start: bytes, unit: bytes, end: bytes) -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        yield _safetensors(start + _repeated(unit, size) + end)

    return make


def _gguf_text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _gguf(tensors: int, keys: int) -> bytes:
    return b"GGUF" + struct.pack("<I2Q", 3, tensors, keys)


def _gguf_keys(value: bytes, key: str = "k") -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        pairs = [
            _gguf_text(f"{key}{index}".encode()) + value
            for index in range(max(1, size // (len(value) + len(key) + 14)))
        ]
        yield _gguf(0, len(pairs)) + b"".join(pairs)

    return make


def _gguf_tensors(size: int) -> Iterator[bytes]:
    rows = [
        _gguf_text(str(index).encode()) + struct.pack("<IQIQ", 1, 0, 0, 0) for index in range(min(size // 40, 250_000))
    ]
    yield _gguf(len(rows), 0) + b"".join(rows) + bytes(64)


def _gguf_array(kind: int, unit: bytes) -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        count = size // len(unit)
        yield _gguf(0, 1) + _gguf_text(b"a") + struct.pack("<2IQ", 9, kind, count) + unit * count + bytes(64)

    return make


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


@lru_cache(4096)
def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _onnx(parts: bytes, *, graph: bool = True) -> bytes:
    return b"\x08\x08\x12\x01x" + (_field(7, parts) if graph else parts + _field(7, b""))


def _onnx_graph(unit: bytes) -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        yield _onnx(_repeated(unit, size))

    return make


def _onnx_named(number: int, of: Callable[[bytes], bytes], *, graph: bool = True) -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        yield _onnx(_filled(b"", lambda index: _field(number, of(str(index).encode())), b"", size), graph=graph)

    return make


def _pickle(unit: bytes, end: bytes = b"N.", start: bytes = b"\x80\x04") -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        yield start + _repeated(unit, size) + end

    return make


def _pickle_globals(size: int) -> Iterator[bytes]:
    yield _filled(b"\x80\x02", lambda index: f"cmodule{index}\nname\n0".encode(), b"N.", size)


def _zip(members: Iterator[tuple[bytes, bytes, bytes, int]], *, once: bool = False) -> Iterator[bytes]:
    """Yield an archive of members: name, extra field of the directory, what is stored, and the method.

    `once`: all entries of the directory lead to the first member.
    """
    directory, offset, place, first = list[bytes](), 0, 0, True
    for name, extra, content, method in members:
        size = len(content) if method == 0 else 1 << 28
        if first or not once:
            place, first = offset, False
            local = _LOCAL.pack(b"PK\x03\x04", 20, 0, method, 0, 0, 0, len(content), size, len(name), 0)
            yield local + name + content
            offset += len(local) + len(name) + len(content)
        head = (b"PK\x01\x02", 20, 20, 0, method, 0, 0, 0, len(content), size, len(name), len(extra), 0, 0, 0, 0, place)
        directory.append(_CENTRAL.pack(*head) + name + extra)
    block, count = b"".join(directory), len(directory)
    yield block
    if count >= 0xFFFF:
        yield struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(block), offset)
        yield struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + len(block), 1)
    short = min(count, 0xFFFF)
    yield _END.pack(b"PK\x05\x06", 0, 0, short, short, len(block), offset, 0)


def _zip_of(
    count: Callable[[int], int], extra: bytes, content: bytes, method: int = 0, *, once: bool = False
) -> _Maker:
    def make(size: int) -> Iterator[bytes]:
        return _zip(((f"{index}.pkl".encode(), extra, content, method) for index in range(count(size))), once=once)

    return make


def _many(each: int) -> Callable[[int], int]:
    return lambda size: min(size // each, 250_000)


def _deflated(content: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return b"".join(packer.compress(content) for _ in range(times)) + packer.flush()


def _bomb(size: int) -> Iterator[bytes]:
    """Yield an archive of one pickle that unfolds to four times the size."""
    content = _deflated(b"N0" * (_BLOCK // 2), max(1, 4 * size // _BLOCK))
    return _zip(iter([(b"data.pkl", b"", content, 8)]))


def _npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header


def _npy_fields(size: int) -> Iterator[bytes]:
    fields = ", ".join(f"('f{index}', '<f4')" for index in range(min(size, 65_000) // 20))
    yield _npy(f"{{'descr': [{fields}], 'fortran_order': False, 'shape': (0,), }}".encode())


def _npy_header(size: int) -> Iterator[bytes]:
    yield _npy(b"{'descr': '|O'," + b" " * (size - 40) + b"}") + b"N."


def _lz4(size: int) -> Iterator[bytes]:
    """Yield a pickle that unfolds to some 250 times the size."""
    content = b"N0" * (_BLOCK // 2)
    packer = lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB)
    yield packer.begin()
    yield from (packer.compress(content) for _ in range(size // 4096))
    yield packer.flush()


def _skops(unit: Callable[[int], bytes]) -> _Maker:
    """Make a schema as long as may be read."""

    def make(size: int) -> Iterator[bytes]:
        schema = _filled(b'{"content":[', unit, b"{}]}", min(size, 15_000_000))
        return _zip(iter([(b"schema.json", b"", schema, 0), (b"a.npy", b"", _npy(b"{}"), 0)]))

    return make


def _node(index: int) -> bytes:
    """Return a node of skops so long that there are nearly as many as there may be values."""
    return f'{{"__loader__":"{"l" * 110}","__module__":"m{index}","__class__":"c"}},'.encode()


def _nemo(unit: bytes) -> _Maker:
    """Make a configuration as long as may be read, and what fills the archive up."""

    def make(size: int) -> Iterator[bytes]:
        for name, content in (("model_config.yaml", _repeated(unit, 256_000)), ("rest", bytes(size))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            yield info.tobuf() + content + bytes(-len(content) % 512)

    return make


_NO_ZIP64 = b"\xfe\xca\x00\x00"
_WEIGHT = b"\x08\x00\x10\x01"

#: By what they are: the name that such a file has, and what makes one.
HOSTILE: Final[dict[str, tuple[str, _Maker]]] = {
    "safetensors: tensors": ("m.safetensors", _tensors("t", _empty_tensor)),
    "safetensors: long names": ("m.safetensors", _tensors("n" * 200, _empty_tensor)),
    "safetensors: escaped names": ("m.safetensors", _tensors("\\u0041", _empty_tensor)),
    "safetensors: names like ends": ("m.safetensors", _tensors("},", _empty_tensor)),
    "safetensors: many dimensions": (
        "m.safetensors",
        _tensors("t", lambda index: _empty_tensor(index, ",".join(["0"] * 60))),
    ),
    "safetensors: long dimensions": (
        "m.safetensors",
        _tensors("t", lambda index: _empty_tensor(index, ",".join(["0", *["99999"] * 11]))),
    ),
    "safetensors: out of order": ("m.safetensors", _unordered),
    "safetensors: metadata": ("m.safetensors", _metadata("x")),
    "safetensors: escaped metadata": ("m.safetensors", _metadata("\\u003a-")),
    "safetensors: long metadata": ("m.safetensors", _metadata("y" * 100_000)),
    "safetensors: deep": ("m.safetensors", _json_header(b'{"a":', b"[", b"")),
    "safetensors: lists": ("m.safetensors", _json_header(b'{"a":[', b"[],", b"[]]}")),
    "safetensors: objects": ("m.safetensors", _json_header(b'{"a":[', b'{"a":1},', b"{}]}")),
    "safetensors: text": ("m.safetensors", _json_header(b'{"__metadata__":{"a":"', b"x", b'"}}')),
    "safetensors: escapes": ("m.safetensors", _json_header(b'{"__metadata__":{"a":"', b"\\u0041", b'"}}')),
    "safetensors: blanks": ("m.safetensors", _json_header(b"{", b" ", b"}")),
    "safetensors: digits": ("m.safetensors", _json_header(b'{"a":', b"1", b"}")),
    "gguf: keys": ("m.gguf", _gguf_keys(struct.pack("<IB", 0, 0))),
    "gguf: long keys": ("m.gguf", _gguf_keys(struct.pack("<IB", 0, 0), "k" * 6000)),
    "gguf: short arrays": ("m.gguf", _gguf_keys(struct.pack("<2IQ", 9, 0, 1024) + bytes(1024))),
    "gguf: short texts": ("m.gguf", _gguf_keys(struct.pack("<2IQ", 9, 8, 64) + _gguf_text(b"") * 64)),
    "gguf: long texts": ("m.gguf", _gguf_keys(struct.pack("<IQ", 8, 60_000) + bytes(60_000))),
    "gguf: tensors": ("m.gguf", _gguf_tensors),
    "gguf: texts": ("m.gguf", _gguf_array(8, bytes(8))),
    "gguf: texts that are not read": ("m.gguf", _gguf_array(8, _gguf_text(b"x" * 5000))),
    "gguf: arrays": ("m.gguf", _gguf_array(9, struct.pack("<IQ", 0, 0))),
    "gguf: numbers": ("m.gguf", _gguf_array(0, b"\0")),
    "onnx: nodes": ("m.onnx", _onnx_graph(_field(1, b""))),
    "onnx: nodes that are not read": ("m.onnx", _onnx_graph(_field(1, bytes(5000)))),
    "onnx: numbers": ("m.onnx", _onnx_graph(b"\x10\x00")),
    "onnx: long numbers": ("m.onnx", _onnx_graph(b"\x10" + b"\x80" * 9 + b"\x01")),
    "onnx: weights": ("m.onnx", _onnx_named(5, lambda name: _WEIGHT + _field(8, name))),
    "onnx: weights without names": ("m.onnx", _onnx_graph(_field(5, b""))),
    "onnx: weights of many dimensions": ("m.onnx", _onnx_graph(_field(5, _field(1, bytes(64))))),
    "onnx: inputs": ("m.onnx", _onnx_named(11, lambda name: _field(1, name))),
    "onnx: shapes": (
        "m.onnx",
        _onnx_named(12, lambda name: _field(2, _field(1, _field(2, _field(1, _field(2, name)) * 60)))),
    ),
    "onnx: properties": ("m.onnx", _onnx_named(14, lambda name: _field(1, name) + _field(2, b"x" * 200), graph=False)),
    "onnx: operators": ("m.onnx", _onnx_named(8, lambda name: _field(1, name) + b"\x10\x01", graph=False)),
    "onnx: graphs": ("m.onnx", _onnx_named(7, lambda name: b"", graph=False)),
    "pickle: values": ("m.pkl", _pickle(b"N0")),
    "pickle: memo": ("m.pkl", _pickle(b"]\x940")),
    "pickle: numbered memo": ("m.pkl", _pickle(b"Np1\n0")),
    "pickle: texts": ("m.pkl", _pickle(b"\x8c\x03abc0")),
    "pickle: lines": ("m.pkl", _pickle(b"Vabc\n0")),
    "pickle: pickles": ("m.pkl", _pickle(b"N.\x80\x04")),
    "pickle: imports": ("m.pkl", _pickle_globals),
    "pickle: bytes": ("m.pkl", _pickle(b"C\x000")),
    "pickle: nothing else": ("m.pkl", _pickle(b"\xff", start=b"")),
    "zip: members": ("m.pt", _zip_of(_many(150), b"", b"\x80\x04N.")),
    "zip: one member often": ("m.pt", _zip_of(_many(150), b"", b"\x80\x04" + b"N0" * 500 + b"N.", once=True)),
    "zip: extra fields": ("m.pt", _zip_of(_many(300), _NO_ZIP64 * 50, b"N.")),
    "zip: long extra fields": ("m.pt", _zip_of(_many(65_600), _NO_ZIP64 * 16_000, b"N.")),
    "zip: bomb": ("m.pt", _bomb),
    "lz4: bomb": ("m.joblib", _lz4),
    "skops: nodes": ("m.skops", _skops(_node)),
    "skops: objects": ("m.skops", _skops(lambda index: b"{},")),
    "nemo: values": ("m.nemo", _nemo(b"- a\n")),
    "nemo: targets": ("m.nemo", _nemo(b"- _target_: a\n")),
    "nemo: aliases": ("m.nemo", _nemo(b"- &a [*a]\n")),
    "numpy: header": ("m.npy", _npy_header),
    "numpy: fields": ("m.npy", _npy_fields),
    "config: lists": (
        "config.json",
        lambda size: iter([b'{"a":[' + _repeated(b"[],", min(size, 4_000_000)) + b"[]]}"]),
    ),
    "config: objects": (
        "config.json",
        lambda size: iter([b'{"a":[' + _repeated(b'{"":0},', min(size, 4_000_000)) + b"{}]}"]),
    ),
    "config: text": ("config.json", lambda size: iter([json.dumps({"a": "x" * min(size, 4_000_000)}).encode()])),
}


def write_hostile(folder: Path, kind: str, size: int) -> Path:
    """Write a file of a kind, of about that size, and return where."""
    name, make = HOSTILE[kind]
    path = folder / name
    with path.open("wb") as file:
        file.writelines(make(size))
    return path
