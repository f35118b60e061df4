"""Recognises kinds of files by first bytes that are more than a magic number."""

import re
import struct
from typing import Final, NamedTuple

_VARINT: Final = 0
_BYTES: Final = 2
_WIDTHS: Final = {1: 8, 5: 4}
_LONGEST_VARINT: Final = 10
_MOST_FIELDS: Final = 64


class _Field(NamedTuple):
    """A field of a protocol buffer. For bytes, `value` is their number, and `begin` their offset."""

    number: int
    wire: int
    value: int
    begin: int


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - no more follow
            return value, at + index + 1
    return None


def _fields(data: bytes, at: int = 0, end: int | None = None) -> list[_Field] | None:
    """Return the first fields of a message that begins in these bytes; `None` where they are no message."""
    fields = list[_Field]()
    stop = len(data) if end is None else min(end, len(data))
    is_cut = end is None or end > len(data)  # more of it may follow in the file
    while at < stop and len(fields) < _MOST_FIELDS:
        tag = _varint(data, at)
        if tag is None:
            return fields if is_cut and stop - at < _LONGEST_VARINT else None
        number, wire, at = tag[0] >> 3, tag[0] & 7, tag[1]
        value = (_WIDTHS[wire], at) if wire in _WIDTHS else _varint(data, at) if wire in {_VARINT, _BYTES} else None
        if number == 0 or value is None:
            return fields if is_cut and number and wire in {_VARINT, _BYTES} and stop - at < _LONGEST_VARINT else None
        fields.append(_Field(number, wire, *value))
        at = value[1] if wire == _VARINT else value[1] + value[0]
        if end is not None and at > end:
            return None
    return fields


def _text(data: bytes, field: _Field) -> bool:
    """Return whether the bytes of a field are a text, as far as they are in `data`."""
    part = data[field.begin : field.begin + field.value]
    try:
        text = part.decode()
    except UnicodeDecodeError as error:
        if error.start < len(part) - 3 or len(part) == field.value:
            return False
        text = part[: error.start].decode()
    return all(letter.isprintable() or letter in "\t\n\r" for letter in text)


#: The wire types of the fields of a model: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_ONNX: Final = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_ONNX_TEXTS: Final = frozenset({2, 3, 4, 6})
_ONNX_GRAPH: Final = frozenset({1, 2, 5, 10, 11, 12, 13, 14, 15, 16})
_ONNX_OPSET: Final = {1: 2, 2: 0}
_HIGHEST_IR: Final = 64


def is_onnx(head: bytes) -> bool:
    """Return whether this is a model of ONNX: its version, texts, a graph or a set of operators, and nothing else."""
    fields = _fields(head)
    if not fields or fields[0].number != 1 or not 0 < fields[0].value <= _HIGHEST_IR:
        return False
    if any(_ONNX.get(one.number) != one.wire for one in fields):
        return False
    if not all(_text(head, one) for one in fields if one.number in _ONNX_TEXTS):
        return False
    graphs = [one for one in fields if one.number == 7]  # noqa: PLR2004 - the graph
    opsets = [one for one in fields if one.number == 8]  # noqa: PLR2004 - a set of operators
    return all(_is_onnx_graph(head, one) for one in graphs) and (
        bool(graphs) or any(_is_onnx_opset(head, one) for one in opsets)
    )


def _is_onnx_graph(head: bytes, graph: _Field) -> bool:
    inner = _fields(head, graph.begin, graph.begin + graph.value)
    return inner is not None and all(one.number in _ONNX_GRAPH and one.wire == _BYTES for one in inner)


def _is_onnx_opset(head: bytes, opset: _Field) -> bool:
    inner = _fields(head, opset.begin, opset.begin + opset.value)
    return bool(inner) and all(_ONNX_OPSET.get(one.number) == one.wire for one in inner or ())


def is_saved_model(head: bytes) -> bool:
    """Recognise https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/saved_model.proto."""
    fields = _fields(head)
    if not fields or [one.number for one in fields[:2]] != [1, 2] or fields[0].value != 1:
        return False
    graph = fields[1]
    inner = _fields(head, graph.begin, graph.begin + graph.value)
    return (
        all(one.number <= 2 for one in fields)  # noqa: PLR2004 - it has no other
        and bool(inner)
        and inner is not None
        and inner[0].number in {1, 2}
        and all(one.wire == _BYTES and one.number <= 7 for one in inner)  # noqa: PLR2004 - it has no other
    )


#: The kinds of models have numbers from 200 on: https://apple.github.io/coremltools/mlmodel/Format/Model.html
_COREML_KINDS: Final = 200


def _is_coreml_model(head: bytes) -> bool:
    """Return whether this is a specification of Core ML: its version, a description, and one kind of model."""
    fields = _fields(head)
    if not fields or fields[0].number != 1 or fields[0].wire != _VARINT or len(fields) < 2:  # noqa: PLR2004 - both
        return False
    described, *rest = fields[1:]
    known = all(one.number in {2, 10} or one.number >= _COREML_KINDS for one in rest)
    inner = _fields(head, described.begin, described.begin + described.value)
    return (
        described.number == 2  # noqa: PLR2004 - the description
        and described.wire == _BYTES
        and bool(inner)
        and known
        and not _text(head, described)
        and (bool(rest) or described.begin + described.value > len(head))
    )


def is_coreml(head: bytes) -> bool:
    """Return whether this is a model of Core ML, or its ``weight.bin``: a count, version 2, the mark of an entry."""
    return _is_coreml_model(head) or _is_coreml_weights(head)


def is_executorch(head: bytes) -> bool:
    """Return whether this is a program of ExecuTorch: the mark of a flat buffer, with the version of its schema."""
    return bool(re.match(rb"ET\d\d", head[4:8]))


def _is_coreml_weights(head: bytes) -> bool:
    return head[4:8] == b"\2\0\0\0" and head[8:64] == bytes(56) and head[64:68] == b"\xef\xbe\xad\xde"


_SPEC: Final = re.compile(rb"[A-Z]\w{2,60}Spec\0")
_CTRANSLATE2_VERSIONS: Final = range(2, 16)


def is_ctranslate2(head: bytes) -> bool:
    """Return whether this begins with a version, and the name of a specification with its length and its end."""
    if len(head) < 8:  # noqa: PLR2004 - both numbers, and some of the name
        return False
    version, length = struct.unpack_from("<IH", head)
    return version in _CTRANSLATE2_VERSIONS and bool(_SPEC.fullmatch(head[6 : 6 + length]))


_GGML_MARKS: Final = {b"lmgg": 0, b"fmgg": 1, b"tjgg": 3}
_RWKV_VERSIONS: Final = range(100, 200)


def is_ggml(head: bytes) -> bool:
    """Return whether this is GGML from before GGUF, as whisper.cpp reads it: its mark, and a version if it has one."""
    most = _GGML_MARKS.get(head[:4])
    return most == 0 or (most is not None and 1 <= int.from_bytes(head[4:8], "little") <= most)


def is_rwkv(head: bytes) -> bool:
    """Return whether this is of rwkv.cpp, which has the mark of GGML and versions from 100 on."""
    return head.startswith(b"fmgg") and int.from_bytes(head[4:8], "little") in _RWKV_VERSIONS


_MOST_TENSORS: Final = 100_000


def is_imatrix(head: bytes) -> bool:
    """Return whether this is llama.cpp's older importance matrix: a count, and the name of the first tensor."""
    if len(head) < 16:  # noqa: PLR2004 - the numbers, and some of the name
        return False
    count, length = struct.unpack_from("<2i", head)
    return 0 < count <= _MOST_TENSORS and bool(re.fullmatch(rb"[\w.\-]{1,200}\.weight", head[8 : 8 + max(length, 0)]))


_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK: Final = 512


def is_hdf5(head: bytes) -> bool:
    """Return whether this is HDF5, by its mark at the beginning."""
    return head.startswith(_HDF5)


def without_user_block(head: bytes) -> bytes:
    """Return the bytes from the HDF5 mark on, which is at 512, 1,024, 2,048… behind a user block; or all bytes."""
    place = _USER_BLOCK
    while place < len(head) and not head.startswith(_HDF5, place):
        place *= 2
    return head[place:] or head


def is_keras_hdf5(head: bytes) -> bool:
    """Return whether the attributes that Keras writes are near the beginning of an HDF5 file."""
    return is_hdf5(head) and (b"keras_version" in head or b"layer_names" in head)


_XML: Final = re.compile(rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?<net\s[^>]{0,500}version=")


def is_openvino_graph(head: bytes) -> bool:
    """Return whether this is OpenVINO's description of a graph, whose weights are beside it."""
    return bool(_XML.match(head))


_PIECES: Final = 3


def is_sentencepiece(head: bytes) -> bool:
    """Return whether this is a model of SentencePiece: pieces, each a text and a number, and perhaps a type."""
    fields = _fields(head)
    if not fields or len(fields) < _PIECES or any((one.number, one.wire) != (1, _BYTES) for one in fields[:_PIECES]):
        return False
    return all(_is_piece(head, one) for one in fields[:_PIECES])


def _is_piece(head: bytes, piece: _Field) -> bool:
    inner = _fields(head, piece.begin, piece.begin + piece.value)
    return (
        bool(inner)
        and [(one.number, one.wire) for one in inner or ()][:2] == [(1, _BYTES), (2, 5)]
        and all((one.number, one.wire) == (3, _VARINT) for one in (inner or ())[2:])
    )


def is_tensorboard(head: bytes) -> bool:
    """Return whether this is a record of events of TensorBoard: a length, its checksum, and an event with a version."""
    return head[4:8] == bytes(4) and head[12:13] == b"\x09" and b"brain.Event:" in head[20:40]


# MessagePack: https://github.com/msgpack/msgpack/blob/master/spec.md

_MOST_KEYS: Final = 65_536
_MOST_NESTED: Final = 64


def _map(data: bytes, at: int) -> int | None:
    """Return the offset of the first key of a map; `None` where there is no map with a key."""
    first = data[at] if at < len(data) else 0
    if 0x81 <= first <= 0x8F:  # noqa: PLR2004 - a map of 1 to 15 pairs
        return at + 1
    width = {0xDE: 2, 0xDF: 4}.get(first)
    if width is None or not 0 < int.from_bytes(data[at + 1 : at + 1 + width], "big") <= _MOST_KEYS:
        return None
    return at + 1 + width


def _key(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Return a text, and the offset behind it; `None` where there is no text."""
    first = data[at] if at < len(data) else 0
    if 0xA0 <= first <= 0xBF:  # noqa: PLR2004 - a text of up to 31 bytes
        begin, length = at + 1, first & 0x1F
    elif (width := {0xD9: 1, 0xDA: 2}.get(first)) is not None:
        begin, length = at + 1 + width, int.from_bytes(data[at + 1 : at + 1 + width], "big")
    else:
        return None
    return (data[begin : begin + length], begin + length) if begin + length <= len(data) else None


_EXTENSIONS: Final = {0xC7: 2, 0xC8: 3, 0xC9: 5, 0xD4: 1, 0xD5: 1, 0xD6: 1, 0xD7: 1, 0xD8: 1}
_SCALARS: Final = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),
    **dict.fromkeys((0xCC, 0xD0), 1),
    **dict.fromkeys((0xCD, 0xD1), 2),
    **dict.fromkeys((0xCA, 0xCE, 0xD2), 4),
    **dict.fromkeys((0xCB, 0xCF, 0xD3), 8),
}
#: https://github.com/google/flax/blob/main/flax/serialization.py: arrays, complex numbers, scalars.
_FLAX_TYPES: Final = frozenset({1, 2, 3})
#: https://github.com/explosion/thinc/blob/main/thinc/model.py
_THINC: Final = frozenset({b"nodes", b"attrs", b"params", b"shims"})


def is_flax(head: bytes) -> bool:
    """Return whether this is a tree of MessagePack with an array of Flax among its first leaves."""
    at = _map(head, 0)
    for _ in range(_MOST_NESTED):
        key = None if at is None else _key(head, at)
        if key is None:
            break
        value = key[1]
        width = _EXTENSIONS.get(head[value]) if value < len(head) else None
        if width is not None:
            return value + width < len(head) and head[value + width] in _FLAX_TYPES
        at = _map(head, value) or _after_scalar(head, value)
    return False


def _after_scalar(data: bytes, at: int) -> int | None:
    """Return the offset behind a number, a text, nothing or an empty map; `None` where there is none of them."""
    if at >= len(data):
        return None
    text = _key(data, at)
    if text is not None:
        return text[1]
    first = data[at]
    width = 0 if first <= 0x80 or first >= 0xE0 else _SCALARS.get(first)  # noqa: PLR2004 - short numbers, an empty map
    return None if width is None else at + 1 + width


def is_spacy(head: bytes) -> bool:
    """Return whether this is a model of Thinc, spaCy's library: a map of MessagePack with its keys."""
    inside = _map(head, 0)
    key = None if inside is None else _key(head, inside)
    return key is not None and key[0] in _THINC and sum(name in head for name in _THINC) > 1
