#!/usr/bin/env bash
# obstore 0.12.1: where a file cannot be read further while it is uploaded, put() raises another OSError than the file did.
# One would expect the file's own, as put() raises it where a generator is uploaded. Seen: of a file, an OSError whose errno
# is None and whose text is "OSError: [Errno 5] …", so that a disk that fails is not told from a disk that is full; of a
# generator that reads the same file, the very object that was raised. Nothing is left there either way.
# What follows: hand obstore a generator of pieces, which can be hashed on their way, too.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "obstore==0.12.1"
cd "$place"
venv/bin/python - <<'END'
import errno
import io
import sys

import obstore
from obstore.store import MemoryStore

PART = 1024**2


class Failing(io.RawIOBase):
    """A file of which two parts can be read."""

    def __init__(self):
        self.parts = 0

    def read(self, size=-1):
        self.parts += 1
        if self.parts > 2:
            raise OSError(errno.EIO, "Input/output error")
        return bytes(PART)

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return 4 * PART if whence == 2 else 0

    def tell(self):
        return 0


def pieces():
    file = Failing()
    while piece := file.read(PART):
        yield piece


store, seen = MemoryStore(), []
for name, source in (("file", Failing()), ("generator", pieces())):
    try:
        obstore.put(store, name, source, chunk_size=PART, use_multipart=True)
    except OSError as error:
        seen.append((name, error.errno))
print(seen, store.list().collect())
sys.exit(seen != [("file", None), ("generator", errno.EIO)] or store.list().collect() != [])
END
