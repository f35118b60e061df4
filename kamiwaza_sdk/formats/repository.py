"""Says what a model is by all of its files: configuration, tokenizer, README, licence, weights.

Checks the index of a model in several safetensors files against them.
"""

import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException, UnknownFormatException
from kamiwaza_sdk.formats.facts import MAX_TEXT, Repository, quantization_of
from kamiwaza_sdk.formats.inspection import FileSummary, Looking, detect_format, inspect_file
from kamiwaza_sdk.formats.kinds import kind_behind_user_block, kind_of_head
from kamiwaza_sdk.formats.layouts.candidates import brief_structure
from kamiwaza_sdk.formats.layouts.describe import is_structural
from kamiwaza_sdk.formats.layouts.names import weight_format
from kamiwaza_sdk.formats.licences import LONGEST, is_licence_file
from kamiwaza_sdk.formats.metadata import CONFIGURATIONS
from kamiwaza_sdk.formats.parameters import QUANTIZATION_FILES
from kamiwaza_sdk.formats.schemas import FormatSchema, SafetensorsSchema, ShardedSafetensorsSchema
from kamiwaza_sdk.formats.schemas.repository import RepositoryDetailsSchema
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
            _refuse_index(str(path), f"the shard {name[:80]!r} is no safetensors file")
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
            _refuse_index(self._path, f"the shard {missing[0][:80]!r} is not there, of {len(self.names)} that it names")

    def check(self, name: str, shard: SafetensorsSchema) -> None:
        """Refuse a shard that has other tensors than the index says."""
        named, there = self._tensors.get(name), shard.tensors
        if named is None:
            return
        for tensor in (tensor for tensor in named if tensor not in there):
            _refuse_index(self._path, f"tensor {tensor[:80]!r} is not in {name[:80]!r}, where it is said to be")
        for tensor in (tensor for tensor in there if tensor not in named):
            _refuse_index(
                self._path, f"tensor {tensor[:80]!r} of {name[:80]!r} is not named, or in another shard as well"
            )


def _read_index(index: bytes, path: str) -> dict[str, object]:
    if len(index) > MAX_INDEX:
        reason = f"the index has more than {MAX_INDEX} bytes; that is no ordinary one"
        raise FormatLimitException(path=path, format=_FORMAT, limit=MAX_INDEX, reason=reason)
    source = ByteSource(path=path, size=len(index), byte_budget=0, request_budget=0, remote=False)
    source.format = _FORMAT
    return read_json(source, index)


def _weight_map(index: bytes, path: str) -> dict[str, str]:
    weight_map = _read_index(index, path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        _refuse_index(path, "weight_map is to be an object of file names")
    names = set(weight_map.values())
    if len(names) > MAX_SHARDS:
        reason = f"{len(names)} shards are over the limit of {MAX_SHARDS}"
        raise FormatLimitException(path=path, format=_FORMAT, limit=MAX_SHARDS, reason=reason)
    for name in names:
        if name in {"", ".", ".."} or any(character in name for character in "/\\\0"):
            _refuse_index(path, f"the shard {name[:80]!r} does not lie beside the index")
    return weight_map


def _claimed_size(index: bytes, path: str) -> int | None:
    metadata = _read_index(index, path).get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    return size if type(size) is int else None


def _refuse_index(path: str, reason: str) -> NoReturn:
    raise MalformedFileException(path=path, format=_FORMAT, reason=reason)


#: The small files that `describe_repository` reads, in the root of a repository; besides, what is called as licences
#: are: ``LICENCE``, ``license.txt``, ``COPYING``, ``LICENSE-MODEL``, ``USE_POLICY.md``.
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
#: How much of a file tells weights that are called otherwise.
_HEAD: Final = 4096
#: How many licences are read, and how many bytes of each: more than have as many letters as the longest.
_MOST_LICENCES: Final = 32
_LICENCE_HEAD: Final = 4 * LONGEST + 4
#: How many files are read that declare what belongs together: no repository has as many.
_MOST_INDEXES: Final = 100


def inspect_directory(directory: str | os.PathLike[str], *, variant: str | None = None) -> RepositoryDetailsSchema:
    """Return what a model's files in a directory say about it together.

    It reads the headers of every file of weights in it and below, of files that are one under many names once: in
    asyncio, call it in a thread. Links to files are followed, for caches consist of them; links to directories are not.
    All files share one budget: those that are beyond it are in ``problems``, and no parameters are counted then.

    Args:
        directory: As a hub lays a repository out: ``config.json``, ``README.md`` and the like in it.
        variant: The name of the variant whose size and parameters are told. Default: the one that loaders take.

    Returns:
        What was found, each part empty where nothing says it.

    Raises:
        MalformedFileException: A file is not what its format demands, or the shards of an index, of which none is
            missing, have other tensors than it says.
        UnknownVariantException: There is no variant of that name.
        FormatLimitException: A text or an index is too long, or there are over 10,000 files.
        OSError: It is no directory, or something in it cannot be read.

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
    indexes = _Indexes([path for path in paths if path.endswith(INDEX)][:_MOST_INDEXES], paths)
    looking = Looking()
    looking.quantization = quantization_of(texts)
    files, problems, unknown = dict[str, FileSummary](), dict[str, str](), set[str]()
    for name, path in paths.items():
        if not name.endswith(INDEX) and name not in describing and (weight_format(name, paths) or _has_weights(path)):
            try:
                files[name] = looking.look(path, name=name, check=indexes.check_of(name))
            except FormatLimitException as error:
                problems[name] = error.reason
            except UnknownFormatException:
                unknown.add(name)  # .bin is what many other things are called
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    problems |= {name: one.outside for name, one in files.items() if one.outside is not None}
    repository = Repository(sizes, texts, files, unknown=unknown, place=str(root))
    return repository.describe(variant).model_copy(update={"problems": problems})


def describing_files(paths: Iterable[str]) -> frozenset[str]:
    """Return those of the files whose texts say what a repository is: of licences, the first 32 by name."""
    given = set(paths)
    licences = sorted(path for path in given if is_licence_file(path) and path not in DESCRIBING_FILES)
    return frozenset([*given.intersection(DESCRIBING_FILES), *licences[:_MOST_LICENCES]])


def read_describing(path: Path, name: str) -> bytes:
    """Return such a text as far as one goes, and one byte more; a licence that is longer is none. Blocks."""
    with path.open("rb") as file:
        return file.read(_LICENCE_HEAD if is_licence_file(name) else MAX_TEXT + 1)


class _Indexes:
    """The indexes of a directory, which their shards are checked against where all of these are there."""

    def __init__(self, names: Iterable[str], paths: Mapping[str, Path]) -> None:
        self._indexes = list[tuple[PurePosixPath, ShardIndex]]()
        for name in names:
            with paths[name].open("rb") as file:
                index = ShardIndex(file.read(MAX_INDEX + 1), path=name)
            folder = PurePosixPath(name).parent
            if all(str(folder / shard) in paths for shard in index.names):
                self._indexes.append((folder, index))

    def check_of(self, path: str) -> Callable[[FormatSchema], None] | None:
        """Return what refuses a shard that does not fit an index beside it; `None` where none names it."""
        place = PurePosixPath(path)
        concerned = [index for folder, index in self._indexes if folder == place.parent and place.name in index.names]
        if not concerned:
            return None

        def check(schema: FormatSchema) -> None:
            for index in concerned:
                if not isinstance(schema, SafetensorsSchema):
                    index.check_names(())
                else:
                    index.check(place.name, schema)

        return check


def structural_files(paths: Iterable[str]) -> list[str]:
    """Return the files that declare what belongs together, as many as are read."""
    return sorted(filter(is_structural, paths))[:_MOST_INDEXES]


def read_structure(path: Path) -> bytes:
    """Return what a file declares, without what grows with it. Blocks."""
    with path.open("rb") as file:
        return brief_structure(path.name, file.read(MAX_INDEX + 1))


def _raise(error: OSError) -> NoReturn:
    raise error


def _has_weights(path: Path) -> bool:
    """Whether a file begins as weights do, whatever it is called."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = kind_of_head(head) or kind_behind_user_block(head)
    return detect_format(head) in {"safetensors", "gguf", "onnx"} or (kind is not None and kind.is_weights)


def _files(root: Path) -> list[Path]:
    found = list[Path]()
    for folder, _, names in os.walk(root, onerror=_raise):
        found += [path for name in names if (path := Path(folder, name)).is_file()]
        if len(found) > MAX_FILES:
            reason = f"more than {MAX_FILES} files are in it; inspect the directory of one model"
            raise FormatLimitException(path=str(root), reason=reason, limit=MAX_FILES)
    return sorted(found)


def _checked(path: Path, text: bytes) -> bytes:
    if len(text) > MAX_TEXT:
        reason = f"it has more than {MAX_TEXT} bytes; that is no ordinary description"
        raise FormatLimitException(path=str(path), reason=reason, limit=MAX_TEXT)
    return text


def describe_repository(
    texts: Mapping[str, bytes],
    files: Mapping[str, FormatSchema],
    *,
    path: str = "",
    paths: Iterable[str] | Mapping[str, int | None] = (),
    variant: str | None = None,
) -> RepositoryDetailsSchema:
    r"""Return what texts and headers say about a model together, wherever they were read.

    Args:
        texts: The contents of those of `DESCRIBING_FILES` that there are, of licences, and of files that declare what
            belongs together, such as ``model.safetensors.index.json``, by path.
        files: What the files of weights say, by path.
        path: The repository, for messages.
        paths: Of all its files, with their sizes in bytes where those are known: a mapping, or names alone.
        variant: The name of the variant whose size and parameters are told. Default: the one that loaders take.

    Returns:
        What was found.

    Raises:
        UnknownVariantException: There is no variant of that name.
        MalformedFileException: A text is no JSON that should be.
        FormatLimitException: A text is longer than 4 MiB, or unfolds to too much.

    Example:
        >>> card = b"---\nlicense: mit\nlanguage:\n- en\n- de\n---\n# A model\n"
        >>> described = describe_repository({"README.md": card}, {})
        >>> described.license, described.languages
        ('mit', ('en', 'de'))
    """
    looking = Looking()
    looking.quantization = quantization_of(texts)
    summaries = {name: looking.summarize(schema) for name, schema in files.items()}
    sizes: dict[str, int | None] = {name: schema.size for name, schema in files.items()}
    sizes = dict.fromkeys([*texts, *paths]) | sizes
    sizes |= {name: size for name, size in paths.items() if size is not None} if isinstance(paths, Mapping) else {}
    return Repository(sizes, texts, summaries, place=path).describe(variant)
