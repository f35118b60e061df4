"""The two ways to have a file twice without copying it, each saying whether it worked."""

import errno
import os
import sys
from io import FileIO
from pathlib import Path
from typing import Final

__all__ = ["hard_link", "reflink"]

#: This file system, this pair of file systems, or this pair of files cannot.
_NO_REFLINK: Final = frozenset(
    {
        errno.EBADF,
        errno.EINVAL,
        errno.ENOSYS,
        errno.ENOTSUP,
        errno.ENOTTY,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.ETXTBSY,
        errno.EXDEV,
    }
)
_ATTEMPTS: Final = 100
#: Linux says EPERM for another user's file (``fs.protected_hardlinks``), Android EACCES for any.
_NO_HARD_LINK: Final = frozenset(
    {errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}
)

if sys.platform == "linux":
    import fcntl

    #: ``_IOW(0x94, 9, int)`` of linux/fs.h; Python names it from 3.12 on.
    _FICLONE: Final = 0x40049409

    def reflink(source: FileIO, target: FileIO) -> bool:
        """Make the empty `target` share the blocks of `source`, copied on write. `False`: nothing was done."""
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as error:
            if error.errno in _NO_REFLINK:
                return False
            raise
        return True

else:

    def reflink(source: FileIO, target: FileIO) -> bool:
        """Return `False`: the standard library offers no way to clone a file here."""
        del source, target
        return False


def hard_link(source: Path, name: str, *, directory: int, source_directory: int | None = None) -> bool:
    """Give `source` another name in the open `directory`. `False`: links are not possible here, nothing was done.

    Raises:
        FileExistsError: Something has that name already. It is left alone.
        FileNotFoundError: There is no `source`.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            os.link(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)
        except FileNotFoundError:
            # Also where another writer's equal blob takes the place of `source` while the kernel links it.
            if not attempts_left:
                raise
        except OSError as error:
            if error.errno in _NO_HARD_LINK:
                return False
            raise
        else:
            return True
    raise AssertionError("unreachable: the last attempt returns or raises")
