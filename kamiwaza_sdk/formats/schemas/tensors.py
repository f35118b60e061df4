"""The tensors of a file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["StoredTensor", "TensorSchema", "TensorTable"]


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
