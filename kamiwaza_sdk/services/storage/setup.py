"""What must exist before the store's first use, made when it is first written to.

::

    <root>/
      format.json               the number of this layout, and the store's own id
      blobs/sha256/ab/abcdef…   read-only, named by content, never edited
      staging/<32 hex digits>/  one directory per writer, removed by it; or one that all writers of the same share
      staging/<same>.lock       held, by ``flock``, while that directory is in use
      views/<digest>/           a version, laid out for reading: links to blobs; delete at will
      quarantine/               what lay under a blob's name and was not that blob; delete at will
      uses/ab/abcdef…           empty; its time is when the blob was used last
      leases/<32 hex digits>    which blobs are to stay for a while
      databases/<id>            which registries have registered what lies here
      fetches/<digest>          which machine brings what others want, too, and what that came to
      trash/<run>/abcdef…       blobs that a clean-up has set aside, until it is sure

Directories get the mode the user's umask allows (0755 or 0700 as a rule), so that a group can share a store.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.storage.exceptions import StorageTooNewException
from kamiwaza_sdk.services.storage.files import sync, sync_directory, translated

#: The number of the layout. 1 had no file that says so, and no trash: who knows only that would not look there.
FORMAT: Final = 2
_FORMAT_FILE: Final = "format.json"


@dataclass(frozen=True, slots=True)
class StoreFormat:
    """What a store says of itself.

    Attributes:
        number: The number of its layout.
        id: Made when the store was, and never changed: 32 hexadecimal digits.
    """

    number: int
    id: str


def read_format(root: Path) -> StoreFormat | None:
    """Return what a store says of itself; `None` where there is none yet, or it is of the time before. Blocks.

    Raises:
        StorageTooNewException: A newer version of the library has laid it out.
        ConfigurationException: What says so cannot be read.
    """
    path = root / _FORMAT_FILE
    try:
        said = json.loads(path.read_bytes())
        found = StoreFormat(number=int(said["format"]), id=str(said["id"]))
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # who may not read here is told by what comes next
        return None
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{path} is damaged; restore it from a copy, or remove it: then the store gets a new id"
        raise ConfigurationException("STORAGE_SERVICE_ROOT", reason) from error
    if found.number > FORMAT:
        raise StorageTooNewException(path=root, format=found.number, known=FORMAT)
    return found


def write_whole(path: Path, content: bytes, *, replace: bool = True) -> bool:
    """Give a file its content in one step, durably. `False`: it was there, and was not to be replaced. Blocks."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
        if replace or not _linked(temporary, path):
            if not replace and path.exists():
                return False
            temporary.rename(path)
        sync_directory(path.parent)
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def _linked(temporary: Path, path: Path) -> bool:
    """Give a file its name unless something has it. `False`: this file system has no hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def prepare(root: Path) -> None:
    """Create the store's directories where they are missing. Any number of processes may do so at once.

    Raises:
        ConfigurationException: `root`, or something above it, is no directory.
        StorageTooNewException: A newer version of the library has laid it out.
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
        if read_format(root) is None:
            said = json.dumps({"format": FORMAT, "id": secrets.token_hex(16)})
            write_whole(root / _FORMAT_FILE, said.encode(), replace=False)


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
