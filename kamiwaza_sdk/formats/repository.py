"""Describes a model of several files: a directory, files that were read elsewhere, the shards that an index names."""

import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException, UnknownFormatException
from kamiwaza_sdk.formats.facts import MAX_TEXT, Repository, quantization_of, refuse_long_text
from kamiwaza_sdk.formats.inspection import FileSummary, InspectionCache, detect_format, inspect_file
from kamiwaza_sdk.formats.kinds import kind_behind_user_block, kind_of_head
from kamiwaza_sdk.formats.layouts.candidates import brief_structure
from kamiwaza_sdk.formats.layouts.describe import is_structural
from kamiwaza_sdk.formats.layouts.names import weight_format
from kamiwaza_sdk.formats.licences import LONGEST, is_licence_file
from kamiwaza_sdk.formats.metadata import CONFIGURATIONS
from kamiwaza_sdk.formats.parameters import QUANTIZATION_FILES
from kamiwaza_sdk.formats.schemas import (
    FormatSchema,
    RepositoryDetailsSchema,
    SafetensorsSchema,
    ShardedSafetensorsSchema,
)
from kamiwaza_sdk.formats.source import read_json_text

#: The small files that `describe_repository` reads, in the root of a repository. It also reads files with the name of a
#: licence: ``LICENCE``, ``license.txt``, ``COPYING``, ``LICENSE-MODEL``, ``USE_POLICY.md``.
DESCRIBING_FILES: Final = (
    "README.md",
    *CONFIGURATIONS,
    "chat_template.jinja",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    *QUANTIZATION_FILES,
)
MAX_FILES: Final = 10_000
MAX_SHARDS: Final = 10_000
MAX_INDEX: Final = 64 * 1024**2
#: The bytes that recognise weights by their content.
_HEAD: Final = 4096
#: The licences to read, and the bytes of each: more than the letters of the longest take.
_MOST_LICENCES: Final = 32
_LICENCE_HEAD: Final = 4 * LONGEST + 4
#: The most files to read that declare which files belong together; no repository has as many.
_MOST_INDEXES: Final = 100
_SHARD_INDEX: Final = ".safetensors.index.json"
_FORMAT: Final = "sharded safetensors"


def inspect_directory(directory: str | os.PathLike[str], *, variant: str | None = None) -> RepositoryDetailsSchema:
    """Return a description of the model in a directory.

    It reads the headers of all files of weights in the directory and below; of a file with several names, once. It
    follows links to files, of which caches consist, and no links to directories. In asyncio, call it in a thread. All
    files share one budget: files beyond it are in ``problems``, and then no parameters are counted.

    Args:
        directory: As a hub lays a repository out, with ``config.json``, ``README.md`` and the like.
        variant: The name of the variant to describe. Default: the one that loaders take.

    Returns:
        The description; a field is empty where no file tells it.

    Raises:
        MalformedFileException: A file violates its format, or the shards of an index are all there, and have other
            tensors than it says.
        UnknownVariantException: There is no variant of that name.
        FormatLimitException: A text or an index is too long, or there are over 10,000 files.
        OSError: The path is no directory, or a file in it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("config.json").write_text('{"architectures": ["BertForMaskedLM"], "model_type": "bert"}')
        >>> inspect_directory(".").task
        'fill-mask'
    """
    root = Path(directory)
    paths = {path.relative_to(root).as_posix(): path for path in _files(root)}
    describing = describing_files(paths)
    texts = {name: _checked(path, read_describing(path, name)) for name, path in paths.items() if name in describing}
    texts |= {name: read_structure(paths[name]) for name in structural_files(paths)}
    indexes = _ShardIndexes([path for path in paths if path.endswith(_SHARD_INDEX)][:_MOST_INDEXES], paths)
    cache = InspectionCache()
    cache.quantization = quantization_of(texts)
    files, problems, unknown = dict[str, FileSummary](), dict[str, str](), set[str]()
    for name, path in paths.items():
        if (
            name not in describing
            and not name.endswith(_SHARD_INDEX)
            and (weight_format(name, paths) or _has_weights(path))
        ):
            try:
                files[name] = cache.inspect(path, name=name, check=indexes.check_of(name))
            except FormatLimitException as error:
                problems[name] = error.reason
            except UnknownFormatException:
                unknown.add(name)  # many other files are called .bin
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    problems |= {name: one.outside for name, one in files.items() if one.outside is not None}
    repository = Repository(sizes, texts, files, unknown=unknown, place=str(root))
    return repository.describe(variant).model_copy(update={"problems": problems})


def describe_repository(
    texts: Mapping[str, bytes],
    files: Mapping[str, FormatSchema],
    *,
    path: str = "",
    paths: Iterable[str] | Mapping[str, int | None] = (),
    variant: str | None = None,
) -> RepositoryDetailsSchema:
    r"""Return a description of a model from texts and headers, wherever these were read.

    Args:
        texts: The contents of `DESCRIBING_FILES`, as far as there are any, of licences, and of files that declare which
            files belong together, such as ``model.safetensors.index.json``, by path.
        files: The descriptions of the files of weights, by path.
        path: Of the repository, for messages.
        paths: Of all its files, with their sizes in bytes where these are known: a mapping, or names alone.
        variant: The name of the variant to describe. Default: the one that loaders take.

    Returns:
        The description; a field is empty where no file tells it.

    Raises:
        UnknownVariantException: There is no variant of that name.
        MalformedFileException: A text is no valid JSON, and should be.
        FormatLimitException: A text is longer than 4 MiB, or has too many values.

    Example:
        >>> card = b"---\nlicense: mit\nlanguage:\n- en\n- de\n---\n# A model\n"
        >>> described = describe_repository({"README.md": card}, {})
        >>> described.license, described.languages
        ('mit', ('en', 'de'))
    """
    cache = InspectionCache()
    cache.quantization = quantization_of(texts)
    summaries = {name: cache.summarize(schema) for name, schema in files.items()}
    sizes: dict[str, int | None] = {name: schema.size for name, schema in files.items()}
    sizes = dict.fromkeys([*texts, *paths]) | sizes
    sizes |= {name: size for name, size in paths.items() if size is not None} if isinstance(paths, Mapping) else {}
    return Repository(sizes, texts, summaries, place=path).describe(variant)


def inspect_shards(index: Path | str) -> ShardedSafetensorsSchema:
    """Return a description of an index and of the safetensors files beside it, checked against each other.

    Args:
        index: Such as ``model.safetensors.index.json``.

    Returns:
        The shards and their sums.

    Raises:
        MalformedFileException: The index does not fit the shards, or a shard violates its format.
        FormatLimitException: The index has more than 64 MiB or 10,000 shards, or to read a shard takes too much.
        OSError: A file is missing, or cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("model.safetensors.index.json").write_text('{"weight_map": {}}')
        >>> inspect_shards("model.safetensors.index.json").parameters
        0
    """
    path = Path(index)
    text = _read_index(path)
    shards = dict[str, SafetensorsSchema]()
    for name in ShardIndex(text, path=str(path)).names:
        shard = inspect_file(path.with_name(name))
        if not isinstance(shard, SafetensorsSchema):
            _refuse(str(path), f"the shard {name[:80]!r} is no safetensors file")
        shards[name] = shard
    return combine_shards(text, shards, path=str(path))


def combine_shards(index: bytes, shards: Mapping[str, SafetensorsSchema], *, path: str) -> ShardedSafetensorsSchema:
    """Return a description of an index and its shards, checked against each other, wherever they were read.

    Args:
        index: The contents of the index.
        shards: The descriptions of the files beside it, by name; others than the index names are ignored.
        path: Of the index, for messages.

    Returns:
        The shards and their sums.

    Raises:
        MalformedFileException: The index is not valid; it names a shard that is missing or not beside it, or a tensor
            that is not in its shard; or a shard has a tensor that the index does not name.
        FormatLimitException: The index has more than 64 MiB or 10,000 shards.

    Example:
        >>> combine_shards(b'{"weight_map": {}}', {}, path="model.safetensors.index.json").parameters
        0
    """
    read = ShardIndex(index, path=path)
    read.check_names(shards)
    totals = Counter[str]()
    for name in read.names:
        read.check(name, shards[name])
        totals.update(shards[name].parameters_by_dtype)
    return ShardedSafetensorsSchema(
        size=sum(shards[name].size for name in read.names),
        shards={name: shards[name] for name in read.names},
        parameters=totals.total(),
        parameters_by_dtype=dict(sorted(totals.items())),
        claimed_size=read.claimed_size,
    )


class ShardIndex:
    """An index, which checks shards one after the other: together they can be large.

    Attributes:
        names: Of its shards, as keys, sorted.
        claimed_size: The bytes that all tensors take, as the index says; `None` where it does not say.
    """

    def __init__(self, index: bytes, *, path: str) -> None:
        if len(index) > MAX_INDEX:
            _exceed(path, f"the index has more than {MAX_INDEX} bytes; that is no ordinary one", MAX_INDEX)
        document = read_json_text(index, path=path, format_=_FORMAT)
        metadata = document.get("metadata")
        size = metadata.get("total_size") if isinstance(metadata, dict) else None
        self.claimed_size: int | None = size if type(size) is int else None
        self._path = path
        self._tensors = dict[str, set[str]]()
        for tensor, shard in _weight_map(document, path).items():
            self._tensors.setdefault(shard, set()).add(tensor)
        self.names: dict[str, None] = dict.fromkeys(sorted(self._tensors))

    def check_names(self, shards: Container[str]) -> None:
        """Refuse an index that names a missing shard."""
        if missing := [name for name in self.names if name not in shards]:
            _refuse(self._path, f"the shard {missing[0][:80]!r} is not there, of {len(self.names)} that it names")

    def check(self, name: str, shard: SafetensorsSchema) -> None:
        """Refuse a shard that has other tensors than the index says."""
        named, there = self._tensors.get(name), shard.tensors
        if named is None:
            return
        if (missing := next((tensor for tensor in named if tensor not in there), None)) is not None:
            _refuse(self._path, f"tensor {missing[:80]!r} is not in {name[:80]!r}, where it is said to be")
        if (other := next((tensor for tensor in there if tensor not in named), None)) is not None:
            _refuse(self._path, f"tensor {other[:80]!r} of {name[:80]!r} is not named, or in another shard as well")


def _weight_map(document: Mapping[str, object], path: str) -> dict[str, str]:
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        _refuse(path, "weight_map is to be an object of file names")
    names = set(weight_map.values())
    if len(names) > MAX_SHARDS:
        _exceed(path, f"{len(names)} shards are over the limit of {MAX_SHARDS}", MAX_SHARDS)
    for name in names:
        if name in {"", ".", ".."} or any(character in name for character in "/\\\0"):
            _refuse(path, f"the shard {name[:80]!r} does not lie beside the index")
    return weight_map


def _read_index(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_INDEX + 1)


def _refuse(path: str, reason: str) -> NoReturn:
    raise MalformedFileException(path=path, format=_FORMAT, reason=reason)


def _exceed(path: str, reason: str, limit: int) -> NoReturn:
    raise FormatLimitException(path=path, format=_FORMAT, reason=reason, limit=limit)


class _ShardIndexes:
    """The indexes of a directory whose shards are all there, so that these can be checked."""

    def __init__(self, names: Iterable[str], paths: Mapping[str, Path]) -> None:
        self._indexes = list[tuple[PurePosixPath, ShardIndex]]()
        for name in names:
            index, folder = ShardIndex(_read_index(paths[name]), path=name), PurePosixPath(name).parent
            if all(str(folder / shard) in paths for shard in index.names):
                self._indexes.append((folder, index))

    def check_of(self, path: str) -> Callable[[FormatSchema], None] | None:
        """Return the check of a shard against the indexes that name it; `None` where none does."""
        place = PurePosixPath(path)
        concerned = [index for folder, index in self._indexes if folder == place.parent and place.name in index.names]

        def check(schema: FormatSchema) -> None:
            for index in concerned:
                if isinstance(schema, SafetensorsSchema):
                    index.check(place.name, schema)
                else:
                    index.check_names(())

        return check if concerned else None


def describing_files(paths: Iterable[str]) -> frozenset[str]:
    """Return the files whose texts describe a repository: `DESCRIBING_FILES`, and the first 32 licences by name."""
    given = set(paths)
    licences = sorted(path for path in given if is_licence_file(path) and path not in DESCRIBING_FILES)
    return frozenset([*given.intersection(DESCRIBING_FILES), *licences[:_MOST_LICENCES]])


def read_describing(path: Path, name: str) -> bytes:
    """Return such a text up to its limit and one byte more; a longer licence is no known one. Blocks."""
    with path.open("rb") as file:
        return file.read(_LICENCE_HEAD if is_licence_file(name) else MAX_TEXT + 1)


def structural_files(paths: Iterable[str]) -> list[str]:
    """Return the files to read that declare which files belong together."""
    return sorted(filter(is_structural, paths))[:_MOST_INDEXES]


def read_structure(path: Path) -> bytes:
    """Return the declarations of such a file, without the parts that grow with the model. Blocks."""
    return brief_structure(path.name, _read_index(path))


def _has_weights(path: Path) -> bool:
    """Return whether a file begins as weights do, whatever its name."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = kind_of_head(head) or kind_behind_user_block(head)
    return detect_format(head) in {"safetensors", "gguf", "onnx"} or (kind is not None and kind.is_weights)


def _files(root: Path) -> list[Path]:
    def refuse(error: OSError) -> NoReturn:
        raise error

    found = list[Path]()
    for folder, _, names in os.walk(root, onerror=refuse):
        found += [path for name in names if (path := Path(folder, name)).is_file()]
        if len(found) > MAX_FILES:
            reason = f"more than {MAX_FILES} files are in it; inspect the directory of one model"
            raise FormatLimitException(path=str(root), reason=reason, limit=MAX_FILES)
    return sorted(found)


def _checked(path: Path, text: bytes) -> bytes:
    refuse_long_text(text, path=str(path))
    return text
