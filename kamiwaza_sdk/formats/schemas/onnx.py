"""What an ONNX file says about itself."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from kamiwaza_sdk.formats.schemas.base import FileSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorTable

__all__ = ["ONNXSchema", "ONNXValueSchema"]


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
