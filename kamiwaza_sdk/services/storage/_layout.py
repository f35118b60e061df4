"""Where the files of a version may appear: plain paths that no file system confuses with each other."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from kamiwaza_sdk._validation import check_layout, check_path
from kamiwaza_sdk.services.storage.schemas import FileLike

__all__ = ["checked_paths"]


def checked_paths(files: Sequence[FileLike]) -> list[PurePosixPath]:
    """Return the files' paths, in order.

    Raises:
        InvalidPathException: One is not a plain relative path, or two would be one on a file system that ignores case
            or normalises Unicode, or one is a directory of another.
    """
    paths = [check_path(file.path, field=f"files.{index}.path") for index, file in enumerate(files)]
    check_layout(paths)
    return [PurePosixPath(path) for path in paths]
