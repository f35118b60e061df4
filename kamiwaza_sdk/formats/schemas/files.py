"""What all descriptions of files share.

The tensors of a file.

What a safetensors file says about itself.

What a GGUF file says about itself.

What an ONNX file says about itself.

What loading a pickle would do.

What can be said of files whose inside is not read, or only for what is dangerous in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from kamiwaza_sdk.formats.schemas.repository import AttentionSchema


class FileSchema(BaseModel):
    """Base of what a file says about itself: immutable, and travels as JSON.

    Attributes:
        size: Of the file, in bytes.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True, protected_namespaces=())

    size: int = Field(ge=0)


class TensorSchema(BaseModel):
    """What a file says of one tensor.

    Attributes:
        name: As the file has it.
        dtype: The type of its elements, in the words of the format: ``BF16`` in safetensors, ``Q4_K`` in GGUF,
            ``FLOAT`` in ONNX.
        shape: In the order of the file: rows first in safetensors and ONNX, the fastest dimension first in GGUF.
        size: In bytes; `None` where that is not known: types that are new, and text.
        offset: Where in the file it begins; `None` where that is not known.

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
        """How many elements it has."""
        return prod(self.shape)


class StoredTensor(NamedTuple):
    """What a tensor is counted by.

    Attributes:
        name: As the file has it.
        dtype: The type of its elements.
        shape: Of as many dimensions as it has.
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
    """The tensors of a file by name, in the file's order, each made when it is asked for.

    A file can have a hundred thousand of them, and most callers only want their sum. In JSON it is an object.

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
        """Yield what tensors are counted by, which takes less than making each of them."""
        stored = self._stored or (lambda name, row: _stored(self._make(name, row)))
        return (stored(name, row) for name, row in self._rows.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorTable) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # how Python says that a class cannot be hashed

    def __repr__(self) -> str:
        return f"<TensorTable of {len(self)} tensors>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take a table as it is, or make one of an object; give an object.

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


class SafetensorsSchema(FileSchema):
    """What a safetensors file says about itself, its offsets checked as the specification demands.

    Attributes:
        size: Of the file, in bytes.
        tensors: By name.
        metadata: The free text of ``__metadata__``.
        parameters: How many elements all tensors have.
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


class ShardedSafetensorsSchema(FileSchema):
    """A model in several safetensors files, its index checked against them.

    Attributes:
        size: Of all shards, in bytes.
        shards: Each shard by the name that the index gives it, sorted.
        parameters: How many elements all tensors have.
        parameters_by_dtype: The same by type, sorted by name.
        claimed_size: What the index says that all tensors take, in bytes; `None` where it does not say. Not all tools
            count alike, so another number is no error.

    Example:
        >>> ShardedSafetensorsSchema(size=0, shards={}, parameters=0, parameters_by_dtype={}, claimed_size=None).format
        'sharded safetensors'
    """

    format: Literal["sharded safetensors"] = "sharded safetensors"
    shards: dict[str, SafetensorsSchema]
    parameters: int
    parameters_by_dtype: dict[str, int]
    claimed_size: int | None


class GGUFArraySchema(BaseModel):
    """A long value of a GGUF file, of which only the kind and the length are kept: a tokenizer's words, say.

    Attributes:
        type: Of its elements: ``string``, ``uint32``, ``float32``…; ``text`` for one long text.
        length: How many it has.

    Example:
        >>> GGUFArraySchema(type="string", length=128256).length
        128256
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    type: str
    length: int = Field(ge=0)


GGUFValue: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...] | GGUFArraySchema


class GGUFSchema(FileSchema):
    """What a GGUF file says about itself.

    Attributes:
        size: Of the file, in bytes.
        version: Of the format: 2 or 3.
        byte_order: ``little`` or ``big``.
        architecture: What ``general.architecture`` names: ``llama``, ``qwen2``…
        name: What ``general.name`` says.
        license: What ``general.license`` says.
        tensors: By name.
        parameters: How many elements all tensors have.
        parameters_by_dtype: The same by type, sorted by name: ``{"F32": 266240, "Q4_K": 6563561472}``.
        quantization: The type that most parameters have, whatever the file is called; `None` without a tensor.
        claimed_quantization: What ``general.file_type`` says: ``Q4_K_M``. It is written by hand or by a tool.
        context_length: The tokens that the model was trained for.
        tokenizer: What ``tokenizer.ggml.model`` names: ``gpt2``, ``llama``…
        has_chat_template: Whether it brings ``tokenizer.chat_template``.
        attention: What the memory of a context is computed from.
        metadata: Every key. Of long arrays and texts only the length.

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


class ONNXValueSchema(BaseModel):
    """An input or an output of a graph.

    Attributes:
        name: As the graph has it.
        dtype: Of its elements, in ONNX's words: ``FLOAT``, ``INT64``; `None` where it is no tensor.
        shape: Numbers, names of dimensions that vary, `None` for those of which nothing is said; `None` where nothing
            is said of the whole.

    Example:
        >>> ONNXValueSchema(name="input_ids", dtype="INT64", shape=("batch", 128)).shape
        ('batch', 128)
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    name: str
    dtype: str | None
    shape: tuple[int | str | None, ...] | None


class ONNXSchema(FileSchema):
    """What an ONNX file says about itself.

    Weights stand inside the graph, before its inputs and outputs. So where only so much of a file may be read, what
    follows is unknown until it is fetched: `None`.

    Attributes:
        size: Of the file, in bytes.
        complete: Whether all of the graph was seen.
        ir_version: Of the representation.
        opset: The version of ONNX's own operators.
        opsets: The versions of all sets of operators, by domain; ONNX's own is ``""``.
        producer: The tool that made it, and its version: ``pytorch 2.3.0``.
        inputs: In the graph's order. Up to version 3 of the representation, the weights are among them.
        outputs: In the graph's order.
        tensors: The weights by name: initializers, also sparse ones, and constants. Those of the bodies of ``If``,
            ``Loop`` and ``Scan`` and of functions have the name of their node or function before their own.
        parameters: How many elements these have.
        parameters_by_dtype: The same by type, sorted by name.
        unpacked_by_dtype: What the model has learned, by the type that it is stored in: of integers that operators such
            as ``MatMulNBits`` unpack each number in them, and neither scales nor zero points; `None` where that is not
            known.
        packing_problem: Why it is not known though the whole graph was seen.
        has_external_data: Whether some weights are in other files.
        external_files: The names of these files, relative to this one's directory, sorted.
        outside_files: Those that would be outside of that directory, such as ``../w.data``, as they are written,
            sorted: no loader should take them, nothing here follows them, and any `Policy` objects.
        metadata: What ``metadata_props`` says.
        cut_metadata: The keys of what is too long to be kept, over 4 MiB, sorted; in `metadata` they are empty.

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


PickleVerdict: TypeAlias = Literal["safe", "suspicious", "dangerous"]
Container: TypeAlias = Literal["pickle", "torch", "zip", "tar", "gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "numpy"]


class PickleImportSchema(BaseModel):
    """Something that loading a pickle would import.

    Attributes:
        module: ``collections``; ``?`` where it cannot be told without loading.
        name: ``OrderedDict``; ``?`` where it cannot be told without loading.
        verdict: On this import alone.

    Example:
        >>> PickleImportSchema(module="os", name="system", verdict="dangerous").name
        'system'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    module: str
    name: str
    verdict: PickleVerdict


class PickleSchema(FileSchema):
    r"""What loading a pickle-based file would import: what it is made of, and whether that can do harm.

    ``safe`` means: it consists of what weights are made of, and nothing else. It is no promise about the program that
    loads it. ``suspicious`` means: it needs code that is not known to be harmless, it is not whole, or it takes too
    much to be looked through, and the first finding says beyond what it is unknown. ``dangerous`` means: it can run any
    command, or hides what it imports. What is called a pickle and is none has no schema: it is refused as a
    `MalformedFileException`.

    Attributes:
        size: Of the file, in bytes.
        container: What the pickles are in: the file itself (``pickle``), the format of PyTorch before 1.6 (``torch``),
            an archive (``zip``, PyTorch's format since then, or ``tar``), a packed stream (``gzip``, ``zlib``,
            ``bzip2``, ``xz``, ``lzma``, ``lz4``), an array of NumPy's (``numpy``).
        verdict: The worst of the imports' and the findings'.
        imports: Sorted by module and name, each once.
        pickles: How many pickles were looked through.
        findings: What else speaks against it, for people to read.
        unread: What of it was not looked into, though there can be pickles in it, and why: it is packed, or takes too
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


FormatSchema: TypeAlias = SafetensorsSchema | GGUFSchema | ONNXSchema | PickleSchema | OtherFileSchema
