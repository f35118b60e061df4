"""What must exist before the store's first use, made when it is first written to.

::

    <root>/
      blobs/sha256/ab/abcdef…   read-only, named by content, never edited
      staging/<32 hex digits>/  one directory per writer, removed by it; or one that all writers of the same share
      staging/<same>.lock       held, by ``flock``, while that directory is in use
      quarantine/               what lay under a blob's name and was not that blob; delete at will

Directories get the mode the user's umask allows (0755 or 0700 as a rule), so that a group can share a store.
"""

from pathlib import Path

from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.storage.files import sync_directory, translated


def prepare(root: Path) -> None:
    """Create the store's directories where they are missing. Any number of processes may do so at once.

    Raises:
        ConfigurationException: `root`, or something above it, is no directory.
        StorageFullException: There is no room for a directory.
        StoragePermissionException: This user may not create it.
    """
    with translated(root):
        for name in ("blobs/sha256", "staging", "quarantine"):
            try:
                make_directory(root / name)
            except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
                reason = f"{error.filename} is no directory, and cannot be made one; choose another root"
                raise ConfigurationException("STORAGE_SERVICE_ROOT", reason) from error


def make_directory(path: Path) -> None:
    """Create a directory and those above it, each durably."""
    try:
        _make_one(path)
    except FileNotFoundError:
        make_directory(path.parent)
        _make_one(path)  # refused again, it cannot be made: as below /proc


def _make_one(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        sync_directory(path.parent)
