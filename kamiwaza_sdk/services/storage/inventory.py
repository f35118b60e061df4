"""What the store holds: its blobs in order, how much they take, when each was used last, and who keeps what.

Every moment is told by the clock of the file system: "now" is a file that is made for it. No safety rests on any of
them: they say what somebody wants to keep, never what nobody refers to.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kamiwaza_sdk.services.storage.files import reflink
from kamiwaza_sdk.services.storage.schemas import BlobSchema, LeftoverSchema, StorageUsageSchema, StoreDatabaseSchema
from kamiwaza_sdk.services.storage.setup import FORMAT, make_directory, read_format, write_whole

#: What the digests of blobs begin with: a directory for each.
PREFIXES: Final = tuple(f"{number:02x}" for number in range(256))
_DIGEST_LENGTH: Final = 64
#: Anybody may note a use, whoever keeps the blob.
_ANYBODY: Final = 0o666
_LEASE: Final = re.compile(r"[0-9a-f]{32}")
#: What a view is called that is being removed.
_LEAVING: Final = ".leaving-"
_LEFTOVERS: Final = ("staging", "trash", "quarantine")


def entries(root: Path, prefix: str) -> Iterator[os.DirEntry[str]]:
    """Yield what lies where blobs with this prefix do, and has a blob's name, in no order. Blocks."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(f"{root}/blobs/sha256/{prefix}") as found:
        for entry in found:
            if len(entry.name) == _DIGEST_LENGTH:
                yield entry


def statuses(root: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the names and statuses of what `entries` yields. Blocks.

    By an open directory: that spares the system the way down from the root for each blob, a fifth of a check's time.
    """
    try:
        directory = os.open(f"{root}/blobs/sha256/{prefix}", os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        for name in os.listdir(directory):  # noqa: PTH208 - `Path` takes no open directory
            if len(name) != _DIGEST_LENGTH:
                continue
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:  # set aside meanwhile
                continue
            yield name, status
    finally:
        os.close(directory)


def list_blobs(root: Path) -> Iterator[BlobSchema]:
    """Yield the blobs by digest. No more than one directory of them is in memory. Blocks."""
    for prefix in PREFIXES:
        for entry in sorted(entries(root, prefix), key=lambda entry: entry.name):
            with suppress(FileNotFoundError):  # set aside meanwhile
                size = entry.stat(follow_symlinks=False).st_size
                yield BlobSchema(sha256=entry.name, size=size, path=Path(entry.path))


def usage(root: Path) -> StorageUsageSchema:
    """Return how much the store takes. Blocks."""
    blobs = size = 0
    oldest: float | None = None
    for prefix in PREFIXES:
        for entry in entries(root, prefix):
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                blobs, size = blobs + 1, size + status.st_size
                used = last_use(root, entry.name, status)
                oldest = used if oldest is None or used < oldest else oldest
    found = read_format(root)
    return StorageUsageSchema(
        bytes=size,
        blobs=blobs,
        oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
        **{name: leftover(root / name) for name in _LEFTOVERS},
        format=FORMAT if found is None else found.number,
    )


def leftover(place: Path) -> LeftoverSchema:
    """Return how much lies below a directory. Blocks."""
    files = size = 0
    for directory, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                status = os.lstat(f"{directory}/{name}")
                files, size = files + 1, size + status.st_size
    return LeftoverSchema(files=files, bytes=size)


def taken(root: Path) -> tuple[int, int]:
    """Return how many bytes the blobs take, and the leftovers, without asking when anything was used. Blocks."""
    size = 0
    for prefix in PREFIXES:
        for entry in entries(root, prefix):
            with suppress(FileNotFoundError):
                size += entry.stat(follow_symlinks=False).st_size
    return size, sum(leftover(root / name).bytes for name in _LEFTOVERS)


def shares_blocks(root: Path) -> bool:
    """Tell whether files of this file system can share their blocks, of which their status tells nothing. Blocks."""
    place = root / "staging"
    one, other = (place / f".{secrets.token_hex(16)}" for _ in range(2))
    try:
        make_directory(place)
        one.write_bytes(b"x" * 4096)
        with one.open("rb", buffering=0) as source, other.open("x+b", buffering=0) as target:
            return reflink(source, target)
    except OSError:
        return True  # it may be
    finally:
        for path in (one, other):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def now(root: Path) -> float:
    """Return the time by the clock of the file system, in seconds since 1970. Blocks."""
    make_directory(root / "uses")
    path = root / "uses" / f".{secrets.token_hex(16)}"
    try:
        path.touch(exist_ok=False)
        return path.stat().st_mtime
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def note_use(root: Path, sha256: str) -> None:
    """Note that a blob is used now. Where that cannot be, it is not noted: it only says what is worth keeping."""
    place = f"{root}/uses/{sha256[:2]}/{sha256}"
    try:
        os.utime(place)  # by the clock of the file system, as anybody who may write to the file
    except FileNotFoundError:
        with suppress(OSError):
            _note_first_use(Path(place))
    except OSError:
        pass


def _note_first_use(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)  # durable or not: it is made again
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _ANYBODY)
    try:
        os.fchmod(descriptor, _ANYBODY)  # whatever the umask
    finally:
        os.close(descriptor)


def last_use(root: Path, sha256: str, status: os.stat_result) -> float:
    """Return when a blob was used last, else when its status changed last, in seconds since 1970. Blocks."""
    try:
        return os.stat(f"{root}/uses/{sha256[:2]}/{sha256}").st_mtime  # noqa: PTH116 - as text, there are many
    except OSError:
        return status.st_ctime


def note_view(root: Path, digest: str) -> None:
    """Note that a view is used now, as far as that can be noted. Blocks."""
    with suppress(OSError):
        os.utime(root / "views" / digest)  # by the clock of the file system


def list_views(root: Path) -> dict[str, float]:
    """Return the views by the digests of their versions, and when each was asked for last. Blocks."""
    found = dict[str, float]()
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(root / "views") as views:
        for view in views:
            with suppress(FileNotFoundError):
                if is_leaving(view.name) or len(view.name) == _DIGEST_LENGTH:  # else it is somebody's own
                    found[view.name] = view.stat(follow_symlinks=False).st_mtime
    return found


def remove_view(root: Path, name: str) -> bool:
    """Remove a view, or what is left of one; tell whether it was there. Blocks.

    It gets another name first: who asks for it meanwhile lays it out anew.
    """
    place = root / "views" / name
    leaving = place if is_leaving(name) else place.with_name(f"{_LEAVING}{secrets.token_hex(16)}")
    try:
        if leaving != place:
            place.rename(leaving)
    except FileNotFoundError:
        return False
    shutil.rmtree(leaving, ignore_errors=True)
    return True


def is_leaving(name: str) -> bool:
    """Tell whether it is what is left of a view that was being removed."""
    return name.startswith(_LEAVING)


def lease(root: Path, digests: Iterable[str], *, duration: timedelta) -> str:
    """Have blobs kept for a while, and return the name of the lease: the same for the same blobs and time. Blocks."""
    said = json.dumps({"seconds": duration.total_seconds(), "blobs": sorted(set(digests))}).encode()
    path = root / "leases" / hashlib.sha256(said).hexdigest()[:32]
    try:
        os.utime(path)  # by the clock of the file system
    except FileNotFoundError:
        make_directory(path.parent)
        temporary = path.with_name(f".{secrets.token_hex(16)}")
        temporary.write_bytes(said)  # not synced: it is a convenience
        temporary.rename(path)
    return path.name


def is_lease(name: str) -> bool:
    """Tell whether a lease could have this name."""
    return _LEASE.fullmatch(name) is not None


def release(root: Path, name: str) -> bool:
    """End a lease; tell whether there was one. Blocks."""
    try:
        (root / "leases" / name).unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def leased(root: Path, *, at: float, remove: bool = False) -> frozenset[str]:
    """Return which blobs are to be kept at a moment, because leases say so. Blocks.

    Args:
        root: The store.
        at: By the clock of the file system.
        remove: Whether those that have ended are removed.
    """
    kept = set[str]()
    for path in _files_in(root / "leases", _LEASE):
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            said = json.loads(path.read_bytes())
            if path.stat().st_mtime + said["seconds"] > at:
                kept.update(said["blobs"])
            elif remove:
                path.unlink()
    return frozenset(kept)


def _files_in(place: Path, names: re.Pattern[str]) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if names.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


_DATABASE: Final = re.compile(r"(postgresql|sqlite)-[0-9a-f-]{1,100}")


def note_database(root: Path, database: StoreDatabaseSchema) -> None:
    """Note, durably, that a registry may refer to what lies here. Blocks."""
    path = root / "databases" / database.id
    if not path.exists():
        make_directory(path.parent)
        write_whole(path, json.dumps({"name": database.name}).encode(), replace=False)


def is_database(name: str) -> bool:
    """Tell whether a registry could have this id."""
    return _DATABASE.fullmatch(name) is not None


def list_databases(root: Path) -> list[StoreDatabaseSchema]:
    """Return the registries that have registered what lies here, by id. Blocks."""
    found = list[StoreDatabaseSchema]()
    for path in _files_in(root / "databases", _DATABASE):
        name = path.name
        with suppress(ValueError, KeyError, TypeError):
            name = str(json.loads(path.read_bytes())["name"])
        found.append(StoreDatabaseSchema(id=path.name, name=name))
    return found


def forget_database(root: Path, database_id: str) -> bool:
    """Let a registry be asked no more; tell whether it was. Blocks."""
    try:
        (root / "databases" / database_id).unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


#: Seconds for which a client of a network file system may still see a name where it was.
_SETTLES_AFTER: Final = 120.0
#: File systems that one machine alone writes to, so that all see the same at once.
_LOCAL: Final = frozenset(
    {"apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "msdos", "ntfs", "ntfs3"}
    | {"overlay", "ramfs", "tmpfs", "ubifs", "ufs", "vfat", "xfs", "zfs"}
)


def settling_time(root: Path) -> float:
    """Return after how many seconds everybody sees that a blob was set aside: other machines may be late. Blocks."""
    kind = _file_system(root)
    return 0.0 if kind is None or kind in _LOCAL else _SETTLES_AFTER


def _file_system(root: Path) -> str | None:
    """Return the kind of file system, as Linux names it; `None` where it does not say."""
    place, longest, kind = os.path.realpath(root), -1, None
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123 - no path of a user's
        for line in mounts:
            before, _, after = line.partition(" - ")
            point = before.split(" ")[4].replace("\\040", " ")
            if len(point) >= longest and f"{place}/".startswith(point if point.endswith("/") else f"{point}/"):
                longest, kind = len(point), after.split(" ")[0]
    return kind
