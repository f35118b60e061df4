"""Checks the index of a model in several safetensors files against them."""

from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Final, NoReturn

from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException
from kamiwaza_sdk.formats.inspection import inspect_file
from kamiwaza_sdk.formats.schemas import SafetensorsSchema, ShardedSafetensorsSchema
from kamiwaza_sdk.formats.source import ByteSource, read_json

#: How the names of such indexes end.
INDEX: Final = ".safetensors.index.json"
MAX_SHARDS: Final = 10_000
MAX_INDEX: Final = 64 * 1024**2
_FORMAT: Final = "sharded safetensors"


def inspect_shards(index: Path | str) -> ShardedSafetensorsSchema:
    """Return what an index and the safetensors files beside it say, checked against each other.

    Args:
        index: Such as ``model.safetensors.index.json``.

    Returns:
        The shards and their sums.

    Raises:
        MalformedFileException: The index does not fit the shards, or one of them is not what its format demands.
        FormatLimitException: The index has more than 64 MiB or 10,000 shards, or a shard asks for too much.
        OSError: A file is missing, or cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("model.safetensors.index.json").write_text('{"weight_map": {}}')
        >>> inspect_shards("model.safetensors.index.json").parameters
        0
    """
    path = Path(index)
    with path.open("rb") as file:
        text = file.read(MAX_INDEX + 1)
    names = sorted(set(_weight_map(text, str(path)).values()))
    shards = dict[str, SafetensorsSchema]()
    for name in names:
        shard = inspect_file(path.with_name(name))
        if not isinstance(shard, SafetensorsSchema):
            _refuse(str(path), f"the shard {name[:80]!r} is no safetensors file")
        shards[name] = shard
    return combine_shards(text, shards, path=str(path))


def combine_shards(index: bytes, shards: Mapping[str, SafetensorsSchema], *, path: str) -> ShardedSafetensorsSchema:
    """Return what an index and its shards say, checked against each other, wherever they were read.

    Args:
        index: The contents of the index.
        shards: What the files beside it say, by name; those that the index does not name are passed over.
        path: The index, for messages.

    Returns:
        The shards and their sums.

    Raises:
        MalformedFileException: The index is none, names a shard that is not there or not beside it, or a tensor that is
            not in its shard, or a shard has a tensor that the index does not name.
        FormatLimitException: The index has more than 64 MiB or 10,000 shards.

    Example:
        >>> combine_shards(b'{"weight_map": {}}', {}, path="model.safetensors.index.json").parameters
        0
    """
    read = ShardIndex(index, path=path)
    read.check_names(shards)
    for name in read.names:
        read.check(name, shards[name])
    totals = Counter[str]()
    for name in read.names:
        totals.update(shards[name].parameters_by_dtype)
    return ShardedSafetensorsSchema(
        size=sum(shards[name].size for name in read.names),
        shards={name: shards[name] for name in read.names},
        parameters=totals.total(),
        parameters_by_dtype=dict(sorted(totals.items())),
        claimed_size=_claimed_size(index, path),
    )


class ShardIndex:
    """An index, to check shards against one after the other: together they can be large.

    Attributes:
        names: Of its shards, as keys, sorted.
    """

    def __init__(self, index: bytes, *, path: str) -> None:
        self._path = path
        self._tensors = dict[str, set[str]]()
        for tensor, shard in _weight_map(index, path).items():
            self._tensors.setdefault(shard, set()).add(tensor)
        self.names: dict[str, None] = dict.fromkeys(sorted(self._tensors))

    def check_names(self, shards: Container[str]) -> None:
        """Refuse an index that names a shard that is not there."""
        if missing := [name for name in self.names if name not in shards]:
            _refuse(self._path, f"the shard {missing[0][:80]!r} is not there, of {len(self.names)} that it names")

    def check(self, name: str, shard: SafetensorsSchema) -> None:
        """Refuse a shard that has other tensors than the index says."""
        named, there = self._tensors.get(name), shard.tensors
        if named is None:
            return
        for tensor in (tensor for tensor in named if tensor not in there):
            _refuse(self._path, f"tensor {tensor[:80]!r} is not in {name[:80]!r}, where it is said to be")
        for tensor in (tensor for tensor in there if tensor not in named):
            _refuse(self._path, f"tensor {tensor[:80]!r} of {name[:80]!r} is not named, or in another shard as well")


def _read(index: bytes, path: str) -> dict[str, object]:
    if len(index) > MAX_INDEX:
        reason = f"the index has more than {MAX_INDEX} bytes; that is no ordinary one"
        raise FormatLimitException(path=path, format=_FORMAT, limit=MAX_INDEX, reason=reason)
    source = ByteSource(path=path, size=len(index), byte_budget=0, request_budget=0, remote=False)
    source.format = _FORMAT
    return read_json(source, index)


def _weight_map(index: bytes, path: str) -> dict[str, str]:
    weight_map = _read(index, path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        _refuse(path, "weight_map is to be an object of file names")
    names = set(weight_map.values())
    if len(names) > MAX_SHARDS:
        reason = f"{len(names)} shards are over the limit of {MAX_SHARDS}"
        raise FormatLimitException(path=path, format=_FORMAT, limit=MAX_SHARDS, reason=reason)
    for name in names:
        if name in {"", ".", ".."} or any(character in name for character in "/\\\0"):
            _refuse(path, f"the shard {name[:80]!r} does not lie beside the index")
    return weight_map


def _claimed_size(index: bytes, path: str) -> int | None:
    metadata = _read(index, path).get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    return size if type(size) is int else None


def _refuse(path: str, reason: str) -> NoReturn:
    raise MalformedFileException(path=path, format=_FORMAT, reason=reason)
