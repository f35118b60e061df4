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
    folders: dict[str, str] = {}
    for index, file in enumerate(files):
        _check(file.path, f"files.{index}.path", names, folders)
    return [PurePosixPath(file.path) for file in files]


def _check(path: str, field: str, names: dict[str, str], folders: dict[str, str]) -> None:
    check_path(path, field=field)
    key, *above = [folded(str(prefix)) for prefix in (PurePosixPath(path), *PurePosixPath(path).parents)][:-1]
    _refuse_clash(path, field, names.get(key) or folders.get(key) or next(filter(None, map(names.get, above)), None))
    names[key] = path
    folders.update(dict.fromkeys(above, path))


def _refuse_clash(path: str, field: str, other: str | None) -> None:
    if other is not None:
        reason = f"{shown(path)} cannot stand beside {shown(other)} on every file system; rename one of them"
        raise InvalidPathException(field, reason, value=path)
