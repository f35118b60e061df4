"""Where the files of a version may appear: plain paths that no file system confuses with each other."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from kamiwaza_sdk._validation import check_path, folded, shown
from kamiwaza_sdk.exceptions import InvalidPathException
from kamiwaza_sdk.services.storage.schemas import FileLike

__all__ = ["checked_paths"]


def checked_paths(files: Sequence[FileLike]) -> list[PurePosixPath]:
    """Return the files' paths, in order.

    Raises:
        InvalidPathException: One is not a plain relative path, or two would be one on a file system that ignores case
            or normalises Unicode, or one is a directory of another.
    """
    names: dict[str, str] = {}
    for index, file in enumerate(files):
        check_path(file.path, field=_field(index))
        key = folded(file.path)
        _refuse_clash(file.path, index, names.get(key))
        names[key] = file.path
    # Directories are looked up one by one: those of long paths, kept as texts, would take gigabytes.
    for index, (key, path) in enumerate(names.items()):
        above = (key[:end] for end, character in enumerate(key) if character == "/")
        _refuse_clash(path, index, next(filter(None, map(names.get, above)), None))
    return [PurePosixPath(file.path) for file in files]


def _field(index: int) -> str:
    return f"files.{index}.path"


def _refuse_clash(path: str, index: int, other: str | None) -> None:
    if other is not None:
        reason = f"{shown(path)} cannot stand beside {shown(other)} on every file system; rename one of them"
        raise InvalidPathException(_field(index), reason, value=path)
