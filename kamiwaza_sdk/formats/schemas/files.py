"""Descriptions of files: their formats, tensors, metadata, and the imports of pickles."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import nlargest
from math import prod
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from kamiwaza_sdk._display import Displayed, Listed, Table, facts, first_rows, joined, listed, shown_shape, shown_size
from kamiwaza_sdk.formats.schemas.repository import AttentionSchema

_MOST_TENSORS: Final = 20


class FileSchema(Displayed, BaseModel):
    """Base of the descriptions of files: immutable, serializable as JSON.

    Attributes:
        size: Of the file, in bytes.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True, protected_namespaces=())

    size: int = Field(ge=0)


class TensorSchema(Listed, BaseModel):
    """A tensor of a file.

    Attributes:
        name: In the file.
        dtype: The type of its elements, as the format names it: ``BF16`` in safetensors, ``Q4_K`` in GGUF, ``FLOAT`` in
            ONNX.
        shape: In the order of the file: rows first in safetensors and ONNX, the fastest dimension first in GGUF.
        size: In bytes; `None` where it is not known, as of new types, and of texts.
        offset: In the file, in bytes; `None` where it is not known.

    Example:
        >>> TensorSchema(name="w", dtype="F16", shape=(4, 2), size=16, offset=128).parameters
        8
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int | None
    offset: int | None

    @property
    def parameters(self) -> int:
        """The number of its elements."""
        return prod(self.shape)

    def _summary(self) -> dict[str, object]:
        size = None if self.size is None else shown_size(self.size)
        return {"": self.name, "dtype": self.dtype, "shape": self.shape, "size": size}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("tensor", "type", "shape", "size"), (), numbers=frozenset((2, 3)))

    def _cells(self) -> tuple[str, ...]:
        return self.name, self.dtype, shown_shape(self.shape), shown_size(self.size)


class StoredTensor(NamedTuple):
    """The parts of a tensor from which parameters are counted.

    Attributes:
        name: In the file.
        dtype: The type of its elements.
        shape: One number for each dimension.
    """

    name: str
    dtype: str
    shape: Sequence[int]


def _stored(tensor: TensorSchema) -> StoredTensor:
    return StoredTensor(tensor.name, tensor.dtype, tensor.shape)


def _itself(name: str, row: Any) -> TensorSchema:  # Any: what a table was made of
    tensor: TensorSchema = row
    return tensor


class TensorTable(Mapping[str, TensorSchema]):
    """The tensors of a file by name, in the order of the file. Each is created when it is requested.

    A file can have a hundred thousand of them, and most callers need only their sum. In JSON it is an object.

    Example:
        >>> table = TensorTable({"w": TensorSchema(name="w", dtype="F16", shape=(4, 2), size=16, offset=128)})
        >>> table["w"].shape, len(table)
        ((4, 2), 1)
    """

    def __init__(
        self,
        rows: Mapping[str, Any],
        make: Callable[[str, Any], TensorSchema] = _itself,
        stored: Callable[[str, Any], "StoredTensor"] | None = None,
    ) -> None:
        # Any: what a row is, only `make` knows
        self._rows = rows
        self._make = make
        self._stored = stored

    def __getitem__(self, name: str) -> TensorSchema:
        return self._make(name, self._rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def stored(self) -> "Iterator[StoredTensor]":
        """Yield the parts from which parameters are counted, which is faster than to create each tensor."""
        stored = self._stored or (lambda name, row: _stored(self._make(name, row)))
        return (stored(name, row) for name, row in self._rows.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorTable) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # how Python says that a class cannot be hashed

    def __repr__(self) -> str:
        return f"<TensorTable of {len(self)} tensors>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept a table, or an object of which to make one; serialize as an object.

        Any: the signature of Pydantic's hook.
        """
        rows = handler.generate_schema(dict[str, TensorSchema])
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(cls, rows),
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), core_schema.no_info_after_validator_function(cls, rows)]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(dict, return_schema=rows),
        )


def _largest(tensors: TensorTable | None) -> Table:
    """Return the table of the largest tensors."""
    if tensors is None:
        return Table((), ())
    largest = nlargest(_MOST_TENSORS, tensors.values(), key=lambda tensor: tensor.size or 0)
    rest = f", of which {len(largest)} are shown, the largest first" if len(tensors) > len(largest) else ""
    return listed(largest, heading=f"{len(tensors):,} tensors{rest}")


def _counted(parameters: int | None, by_dtype: Mapping[str, int] | None) -> dict[str, object]:
    types = ", ".join(by_dtype or ())
    return {"parameters": None if parameters is None else f"{parameters:,}", "dtypes": types}


class SafetensorsSchema(FileSchema):
    """The header of a safetensors file, checked as the specification demands.

    Attributes:
        size: Of the file, in bytes.
        tensors: By name.
        metadata: The texts of ``__metadata__``.
        parameters: The number of elements of all tensors.
        parameters_by_dtype: The same by type, sorted by name: ``{"BF16": 8030261248}``.

    Example:
        >>> schema = SafetensorsSchema(size=8, tensors={}, metadata={}, parameters=0, parameters_by_dtype={})
        >>> schema.format
        'safetensors'
    """

    format: Literal["safetensors"] = "safetensors"
    tensors: TensorTable
    metadata: dict[str, str]
    parameters: int
    parameters_by_dtype: dict[str, int]

    def _summary(self) -> dict[str, object]:
        counted = _counted(self.parameters, self.parameters_by_dtype)
        return {"size": shown_size(self.size), "tensors": len(self.tensors)} | counted

    def _tables(self) -> Iterable[Table]:
        yield facts(self._summary() | {"tensors": None, "metadata": joined(self.metadata)}, heading=self.format)
        yield _largest(self.tensors)


class ShardedSafetensorsSchema(FileSchema):
    """A model in several safetensors files, checked against their index.

    Attributes:
        size: Of all shards, in bytes.
        shards: By their names in the index, sorted.
        parameters: The number of elements of all tensors.
        parameters_by_dtype: The same by type, sorted by name.
        claimed_size: The bytes of all tensors by the index; `None` where it does not say. Tools count differently, so
            another number is no error.

    Example:
        >>> ShardedSafetensorsSchema(size=0, shards={}, parameters=0, parameters_by_dtype={}, claimed_size=None).format
        'sharded safetensors'
    """

    format: Literal["sharded safetensors"] = "sharded safetensors"
    shards: dict[str, SafetensorsSchema]
    parameters: int
    parameters_by_dtype: dict[str, int]
    claimed_size: int | None

    def _summary(self) -> dict[str, object]:
        counted = _counted(self.parameters, self.parameters_by_dtype)
        return {"size": shown_size(self.size), "shards": len(self.shards)} | counted

    def _tables(self) -> Iterable[Table]:
        yield facts(self._summary(), heading=self.format)
        rows = ((name, shown_size(one.size), f"{len(one.tensors):,}") for name, one in self.shards.items())
        yield Table(("shard", "size", "tensors"), first_rows(rows, len(self.shards)), numbers=frozenset((1, 2)))


class GGUFArraySchema(Displayed, BaseModel):
    """A long value of a GGUF file, of which only the type and the length are read: the vocabulary of a tokenizer.

    Attributes:
        type: Of its elements: ``string``, ``uint32``, ``float32``…; ``text`` for one long text.
        length: The number of its elements.

    Example:
        >>> GGUFArraySchema(type="string", length=128256).length
        128256
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    type: str
    length: int = Field(ge=0)


GGUFValue: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...] | GGUFArraySchema


class GGUFSchema(FileSchema):
    """The header of a GGUF file.

    Attributes:
        size: Of the file, in bytes.
        version: Of the format: 2 or 3.
        byte_order: ``little`` or ``big``.
        architecture: ``general.architecture``: ``llama``, ``qwen2``…
        name: ``general.name``.
        license: ``general.license``.
        tensors: By name.
        parameters: The number of elements of all tensors.
        parameters_by_dtype: The same by type, sorted by name: ``{"F32": 266240, "Q4_K": 6563561472}``.
        quantization: The type of most parameters, whatever the name of the file; `None` without a tensor.
        claimed_quantization: The type by ``general.file_type``, which a tool or its user writes: ``Q4_K_M``.
        context_length: The number of tokens for which the model was trained.
        tokenizer: ``tokenizer.ggml.model``: ``gpt2``, ``llama``…
        has_chat_template: Whether it has ``tokenizer.chat_template``.
        attention: From which the memory of a context is computed.
        metadata: All keys. Of long arrays and texts only the length.

    Example:
        >>> none = {"tensors": {}, "metadata": {}, "parameters_by_dtype": {}}
        >>> schema = GGUFSchema(size=24, version=3, byte_order="little", **none)
        >>> schema.format, schema.parameters, schema.has_chat_template
        ('gguf', 0, False)
    """

    format: Literal["gguf"] = "gguf"
    version: int
    byte_order: Literal["little", "big"]
    architecture: str | None = None
    name: str | None = None
    license: str | None = None
    tensors: TensorTable
    parameters: int = 0
    parameters_by_dtype: dict[str, int]
    quantization: str | None = None
    claimed_quantization: str | None = None
    context_length: int | None = None
    tokenizer: str | None = None
    has_chat_template: bool = False
    attention: AttentionSchema | None = None
    metadata: dict[str, GGUFValue]

    def _summary(self) -> dict[str, object]:
        return {
            "": self.name,
            "architecture": self.architecture,
            "quantization": self.claimed_quantization or self.quantization,
            "context": self.context_length,
            "size": shown_size(self.size),
            "tensors": len(self.tensors),
        } | _counted(self.parameters, self.parameters_by_dtype)

    def _tables(self) -> Iterable[Table]:
        more = {"": None, "tensors": None, "license": self.license, "tokenizer": self.tokenizer}
        yield facts(self._summary() | more, heading=f"{self.format} {self.name or ''}")
        yield _largest(self.tensors)


class ONNXValueSchema(Displayed, BaseModel):
    """An input or an output of a graph.

    Attributes:
        name: In the graph.
        dtype: The type of its elements, as ONNX names it: ``FLOAT``, ``INT64``; `None` of values that are no tensors.
        shape: Numbers, the names of dimensions that vary, `None` for unknown dimensions; `None` where the shape is not
            known.

    Example:
        >>> ONNXValueSchema(name="input_ids", dtype="INT64", shape=("batch", 128)).shape
        ('batch', 128)
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    name: str
    dtype: str | None
    shape: tuple[int | str | None, ...] | None

    def _summary(self) -> dict[str, object]:
        return {"": self.name, "dtype": self.dtype, "shape": shown_shape(self.shape)}


class ONNXSchema(FileSchema):
    """The graph of an ONNX file, without its operators.

    Weights are inside the graph, before its inputs and outputs. So where only a part of a remote file may be read, the
    fields for the rest are unknown until it is fetched: `None`.

    Attributes:
        size: Of the file, in bytes.
        complete: Whether the whole graph was read.
        ir_version: Of the representation.
        opset: The version of ONNX's own operators.
        opsets: The versions of all sets of operators, by domain; ONNX's own is ``""``.
        producer: The tool that wrote it, and its version: ``pytorch 2.3.0``.
        inputs: In the order of the graph. Up to version 3 of the representation, the weights are among them.
        outputs: In the order of the graph.
        tensors: The weights by name: initializers, also sparse ones, and constants. In the bodies of ``If``, ``Loop``
            and ``Scan`` and in functions, the name of the node or function precedes.
        parameters: The number of their elements.
        parameters_by_dtype: The same by type, sorted by name.
        unpacked_by_dtype: The parameters by the type of the tensors: each number in the integers that operators such as
            ``MatMulNBits`` unpack, and neither scales nor zero points; `None` where they are not known.
        packing_problem: Why they are not known although the whole graph was read.
        has_external_data: Whether some weights are in other files.
        external_files: The names of these files, relative to the directory of this one, sorted.
        outside_files: Names that lead out of that directory, such as ``../w.data``, as the file has them, sorted: no
            loader should follow them, nothing here does, and any `Policy` objects.
        metadata: ``metadata_props``.
        cut_metadata: The keys of values over 4 MiB, sorted; in `metadata` these values are empty.

    Example:
        >>> schema = ONNXSchema(size=9, complete=False, opsets={}, metadata={})
        >>> schema.format, schema.parameters is None
        ('onnx', True)
    """

    format: Literal["onnx"] = "onnx"
    complete: bool
    ir_version: int | None = None
    opset: int | None = None
    opsets: dict[str, int]
    producer: str | None = None
    inputs: tuple[ONNXValueSchema, ...] | None = None
    outputs: tuple[ONNXValueSchema, ...] | None = None
    tensors: TensorTable | None = None
    parameters: int | None = None
    parameters_by_dtype: dict[str, int] | None = None
    unpacked_by_dtype: dict[str, int] | None = None
    packing_problem: str | None = None
    has_external_data: bool | None = None
    external_files: tuple[str, ...] | None = None
    outside_files: tuple[str, ...] | None = None
    metadata: dict[str, str]
    cut_metadata: tuple[str, ...] = ()

    def _summary(self) -> dict[str, object]:
        return {
            "size": shown_size(self.size),
            "complete": self.complete,
            "opset": self.opset,
            "producer": self.producer,
            "tensors": None if self.tensors is None else len(self.tensors),
            "external_files": len(self.external_files or ()) or None,
            "outside_files": self.outside_files,
        } | _counted(self.parameters, self.parameters_by_dtype)

    def _tables(self) -> Iterable[Table]:
        yield facts(self._summary() | {"tensors": None}, heading=self.format)
        for head, values in (("input", self.inputs or ()), ("output", self.outputs or ())):
            rows = ((one.name, one.dtype or "", shown_shape(one.shape)) for one in values)
            yield Table((head, "type", "shape"), first_rows(rows, len(values)), numbers=frozenset((2,)))
        yield _largest(self.tensors)


PickleVerdict: TypeAlias = Literal["safe", "suspicious", "dangerous"]
Container: TypeAlias = Literal["pickle", "torch", "zip", "tar", "gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "numpy"]


class PickleImportSchema(Listed, BaseModel):
    """An import of a pickle.

    Attributes:
        module: ``collections``; ``?`` where only loading can tell.
        name: ``OrderedDict``; ``?`` where only loading can tell.
        verdict: On this import alone.

    Example:
        >>> PickleImportSchema(module="os", name="system", verdict="dangerous").name
        'system'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    module: str
    name: str
    verdict: PickleVerdict

    def _summary(self) -> dict[str, object]:
        return {"": f"{self.module}.{self.name}", "verdict": self.verdict}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("import", "verdict"), ())

    def _cells(self) -> tuple[str, ...]:
        return f"{self.module}.{self.name}", self.verdict


def _found(imports: Sequence[PickleImportSchema], findings: Sequence[str], unread: Sequence[str]) -> Iterator[Table]:
    """Yield the tables of what a scan found."""
    yield listed(imports)
    for head, texts in (("finding", findings), ("not read", unread)):
        yield Table((head,), first_rows(((text,) for text in texts), len(texts)))


class PickleSchema(FileSchema):
    r"""The imports of a pickle-based file, and a verdict on them.

    ``safe`` means: it imports only what weights need. That is no promise about the program that loads it.
    ``suspicious`` means: it imports code that is not known to be harmless, it is not whole, or to scan it takes too
    much, and the first finding names the limit beyond which it is unknown. ``dangerous`` means: it can run any command,
    or hides its imports. A file that is called a pickle and is none raises `MalformedFileException`.

    Attributes:
        size: Of the file, in bytes.
        container: The form of the file: pickles alone (``pickle``), the format of PyTorch before 1.6 (``torch``), an
            archive (``zip``, PyTorch's format since then, or ``tar``), a packed stream (``gzip``, ``zlib``, ``bzip2``,
            ``xz``, ``lzma``, ``lz4``), an array of NumPy (``numpy``).
        verdict: The worst of those of the imports and the findings.
        imports: Sorted by module and name, each once.
        pickles: The number of pickles that were scanned.
        findings: Other reasons for the verdict, for people to read.
        unread: The parts that were not scanned although they can hold pickles, and why: they are packed, or take too
            much.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("model.pkl").write_bytes(b"cos\nsystem\n(S'rm -rf /'\ntR.")
        >>> inspected = inspect_file("model.pkl")
        >>> inspected.verdict, inspected.imports[0].module, inspected.imports[0].name
        ('dangerous', 'os', 'system')
    """

    format: Literal["pickle"] = "pickle"
    container: Container
    verdict: PickleVerdict
    imports: tuple[PickleImportSchema, ...]
    pickles: int
    findings: tuple[str, ...]
    unread: tuple[str, ...] = ()

    def _summary(self) -> dict[str, object]:
        return {
            "": self.verdict,
            "size": shown_size(self.size),
            "container": self.container,
            "imports": len(self.imports),
            "findings": len(self.findings) or None,
            "unread": len(self.unread) or None,
        }

    def _tables(self) -> Iterable[Table]:
        counts = {"": None, "verdict": self.verdict, "pickles": self.pickles}
        yield facts(self._summary() | counts, heading=self.format)
        yield from _found(self.imports, self.findings, self.unread)


#: The formats of files of which little or nothing is read.
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
    r"""A file of which little or nothing is read: an archive, a program, weights of another framework.

    Attributes:
        size: Of the file, in bytes.
        format: ``keras``, ``tflite``, ``zip``, ``program``… The page of formats lists all.
        is_weights: Whether files of this format are weights, so that `Policy` decides about the format.
        verdict: The worst of all findings; `None` without any, which does not prove that the file is safe. Only arrays
            of numbers, which are read to their end, are ``safe``.
        reason: Why there is no verdict, or the reason for it.
        imports: The imports of the pickles in it, and of other code that is read: types that skops does not trust,
            classes in NeMo's configuration. Sorted by module and name, each once.
        pickles: The number of pickles that were scanned.
        findings: Reasons for the verdict, for people to read: code, damage.
        unread: The packed parts that were not scanned although they can hold pickles, and why.

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

    def _summary(self) -> dict[str, object]:
        return {"": self.format, "size": shown_size(self.size), "verdict": self.verdict, "reason": self.reason}

    def _tables(self) -> Iterable[Table]:
        yield facts(self._summary() | {"": None, "weights": self.is_weights}, heading=self.format)
        yield from _found(self.imports, self.findings, self.unread)


FormatSchema: TypeAlias = SafetensorsSchema | GGUFSchema | ONNXSchema | PickleSchema | OtherFileSchema
