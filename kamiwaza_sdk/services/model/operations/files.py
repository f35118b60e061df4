"""The files of versions, and what can be told from them."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue

from kamiwaza_sdk._validation import MAX_SIZE
from kamiwaza_sdk.services.hub.schemas.fetched import manifest_digest
from kamiwaza_sdk.services.model.loaded import refresh
from kamiwaza_sdk.services.model.models import DBModelFile
from kamiwaza_sdk.services.model.schemas.version import CreateFile, ModelFileSchema
from kamiwaza_sdk.services.model.scope import Scope
from kamiwaza_sdk.services.model.statements.versions import DELETE_FILE, INSERT_FILES, UPDATE_FILE

__all__ = ["facts", "insert_files", "replace_files"]

_MAX_FORMAT_LENGTH = 64
_MAX_WORD_LENGTH = 255


class _File(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def format(self) -> str | None: ...


def insert_files(scope: Scope, version_id: UUID, files: Sequence[CreateFile]) -> None:
    """Insert the files of a version."""
    own = {"namespace": scope.namespace, "version_id": version_id}
    scope.execute_many(INSERT_FILES, [{**own, **file.__dict__} for file in files])


def replace_files(
    scope: Scope, version_id: UUID, before: Sequence[ModelFileSchema], after: Sequence[CreateFile]
) -> None:
    """Give a version these files, and no others. Rows that stay are left alone: the application's may refer to them."""
    old = {file.path: file.model_dump() for file in before}
    new = {file.path: file.model_dump() for file in after}
    for path in old.keys() - new.keys():
        scope.execute(DELETE_FILE, _version_id=version_id, _path=path)
        refresh(scope.db, DBModelFile, (version_id, path))
    for path in sorted(old.keys() & new.keys()):
        if old[path] != new[path]:
            scope.execute(UPDATE_FILE, _version_id=version_id, _path=path, **new[path])
            refresh(scope.db, DBModelFile, (version_id, path), new[path])
    insert_files(scope, version_id, [file for file in after if file.path not in old])


def facts(files: Sequence[_File], details: Mapping[str, JsonValue]) -> dict[str, str | int | None]:
    """Return what a version's columns say of its files and its inside."""
    return {
        "digest": manifest_digest(files),
        "size": sum(file.size for file in files),
        "format": _format(files, details.get("format")),
        "parameters": _parameters(details.get("parameters")),
        "architecture": _word(details.get("architecture")),
        "quantization": _word(details.get("quantization")),
        "context_length": _length(details.get("context_length")),
    }


def _format(files: Sequence[_File], declared: JsonValue) -> str | None:
    """Return what the details name, or else what all files are that say what they are."""
    if isinstance(declared, str) and 0 < len(declared) <= _MAX_FORMAT_LENGTH:
        return declared
    formats = {file.format for file in files if file.format is not None}
    return formats.pop() if len(formats) == 1 else None


def _word(declared: JsonValue) -> str | None:
    return declared if isinstance(declared, str) and 0 < len(declared) <= _MAX_WORD_LENGTH else None


def _length(declared: JsonValue) -> int | None:
    return declared if type(declared) is int and declared > 0 else None


def _parameters(declared: JsonValue) -> int | None:
    """Return how many there are: as a number, or the sum over data types."""
    counts = list(declared.values()) if isinstance(declared, dict) else [declared]
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        return None
    total = sum(count for count in counts if isinstance(count, int))
    return total if total <= MAX_SIZE else None
