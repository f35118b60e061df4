"""Comparing two versions: by what the registry knows of them, and by the configurations and tensors in a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import JsonValue
from pydantic_core import from_json

from kamiwaza_sdk._display import shown_shape
from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.inspection import inspect_file
from kamiwaza_sdk.formats.schemas import GGUFSchema, SafetensorsSchema
from kamiwaza_sdk.services.model.schemas.diff import ChangeKind, ChangeSchema, FileChangeSchema, VersionDiffSchema
from kamiwaza_sdk.services.model.schemas.version import ModelFileSchema, ModelVersionSchema
from kamiwaza_sdk.services.storage.exceptions import StorageException
from kamiwaza_sdk.services.storage.services import StorageService

#: How the name of a configuration ends.
_CONFIG: Final = "config.json"
#: The largest configuration that is looked into, in bytes, and how many are.
_LARGEST_CONFIG: Final = 4 * 1024**2
_MOST_CONFIGS: Final = 20
#: How the names of files end whose tensors are compared, and how many files are.
_WEIGHTS: Final = (".safetensors", ".gguf")
_MOST_WEIGHTS: Final = 200
#: How deep keys of objects within objects are told apart.
_MAX_DEPTH: Final = 8
#: Facts that have a field of their own.
_FACTS: Final = ("format", "architecture", "quantization", "context_length")


def compare_versions(
    before: ModelVersionSchema,
    after: ModelVersionSchema,
    *,
    licenses: tuple[str | None, str | None],
    storage: StorageService,
) -> VersionDiffSchema:
    """Return what is different between two versions. Reads configurations from the store, and blocks."""
    old, new = ({file.path: file for file in version.files} for version in (before, after))
    files = _changed_files(old, new)
    configs, problems = _compare_configs(files, storage)
    tensors, unread = _compare_tensors(files, storage)
    return VersionDiffSchema(
        before=_name(before),
        after=_name(after),
        files=files,
        same_files=len(old.keys() | new.keys()) - len(files),
        config=configs,
        config_problems=problems | unread,
        tensors=tensors,
        parameters=_change("parameters", before.parameters, after.parameters),
        license=_change("license", *licenses),
        facts=_changes(_facts(before), _facts(after)),
        tags=_changes(before.tags, after.tags),
        attributes=_changes(before.attributes, after.attributes),
    )


def _name(version: ModelVersionSchema) -> str:
    return f"{version.model_name}:{version.number}"


def _facts(version: ModelVersionSchema) -> dict[str, JsonValue]:
    own = {name: getattr(version, name) for name in _FACTS}
    return flattened({**version.details, **{name: value for name, value in own.items() if value is not None}})


def _changed_files(
    old: Mapping[str, ModelFileSchema], new: Mapping[str, ModelFileSchema]
) -> tuple[FileChangeSchema, ...]:
    changes = []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before is None or after is None or before.sha256 != after.sha256:
            change = FileChangeSchema(
                path=path,
                kind=_kind(was_there=before is not None, is_there=after is not None),
                size_before=None if before is None else before.size,
                size_after=None if after is None else after.size,
                sha256_before=None if before is None else before.sha256,
                sha256_after=None if after is None else after.sha256,
            )
            changes.append(change)
    return tuple(changes)


def _kind(*, was_there: bool, is_there: bool) -> ChangeKind:
    return "changed" if was_there and is_there else "added" if is_there else "removed"


def _change(key: str, before: JsonValue, after: JsonValue) -> ChangeSchema | None:
    if before == after:
        return None
    kind = _kind(was_there=before is not None, is_there=after is not None)
    return ChangeSchema(key=key, kind=kind, before=before, after=after)


def _changes(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[ChangeSchema, ...]:
    """Return the differences of two objects, sorted by key. A number and a truth value are not the same."""
    return tuple(
        ChangeSchema(
            key=key,
            kind=_kind(was_there=key in before, is_there=key in after),
            before=before.get(key),
            after=after.get(key),
        )
        for key in sorted(before.keys() | after.keys())
        if key not in before or key not in after or not _are_same(before[key], after[key])
    )


def _are_same(one: JsonValue, other: JsonValue) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def flattened(value: Mapping[str, JsonValue], prefix: str = "", depth: int = 1) -> dict[str, JsonValue]:
    """Return the keys of an object, and of objects within it, with dots between."""
    flat: dict[str, JsonValue] = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and inner and depth < _MAX_DEPTH:
            flat |= flattened(inner, f"{prefix}{key}.", depth + 1)
        else:
            flat[f"{prefix}{key}"] = inner
    return flat


def _compare_configs(
    files: tuple[FileChangeSchema, ...], storage: StorageService
) -> tuple[dict[str, tuple[ChangeSchema, ...]], dict[str, str]]:
    """Return the changes of each configuration by its path, and why one could not be compared."""
    changes: dict[str, tuple[ChangeSchema, ...]] = {}
    problems: dict[str, str] = {}
    configs = [file for file in files if file.kind == "changed" and file.path.endswith(_CONFIG)]
    for file in configs[:_MOST_CONFIGS]:
        try:
            before, after = (_read(storage, sha256) for sha256 in (file.sha256_before, file.sha256_after))
        except (OSError, StorageException, ValueError) as error:
            problems[file.path] = f"not compared: {error}"
        else:
            changes[file.path] = _changes(before, after)
    return changes, problems


def _compare_tensors(
    files: tuple[FileChangeSchema, ...], storage: StorageService
) -> tuple[tuple[ChangeSchema, ...], dict[str, str]]:
    """Return the changes of the tensors of all files together, and why those of one are not known."""
    problems: dict[str, str] = {}
    before: dict[str, JsonValue] = {}
    after: dict[str, JsonValue] = {}
    weights = [file for file in files if file.path.endswith(_WEIGHTS)]
    for file in weights[:_MOST_WEIGHTS]:
        try:
            before |= _tensors(storage, file.sha256_before)
            after |= _tensors(storage, file.sha256_after)
        except (OSError, StorageException, FormatException) as error:
            problems[file.path] = f"not compared: {error}"
    if problems or len(weights) > _MOST_WEIGHTS:  # what is in the other file may be what seems to be new
        return (), problems
    return _changes(before, after), problems


def _tensors(storage: StorageService, sha256: str | None) -> dict[str, JsonValue]:
    """Return the type and shape of each tensor in a blob, by name."""
    if sha256 is None:
        return {}
    found = inspect_file(storage.get(sha256).path)
    tensors = found.tensors if isinstance(found, SafetensorsSchema | GGUFSchema) else {}
    return {name: f"{one.dtype} {shown_shape(one.shape)}" for name, one in tensors.items()}


def _read(storage: StorageService, sha256: str | None) -> dict[str, JsonValue]:
    """Return the object in a blob.

    Raises:
        ValueError: It holds something else, or is too large.
        StorageException: It is not kept.
    """
    blob = storage.get(sha256 or "")
    if blob.size > _LARGEST_CONFIG:
        raise ValueError(f"it has {blob.size:,} bytes, over the limit of {_LARGEST_CONFIG:,}")
    content = from_json(Path(blob.path).read_bytes())
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 - of what is read, not of what was given
    return flattened(content)
