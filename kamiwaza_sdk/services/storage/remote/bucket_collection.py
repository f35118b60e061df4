"""What a clean-up does to a store in a bucket: condemn by compare-and-swap, and delete bytes by names of their own.

A run is an object that names what is about to be condemned, then each is. To close it, the entries are read, and those
that are condemned by it are written down with their nonces. So whoever still condemns for that run does it in vain:
what is removed later is only what was condemned before the run was closed, and was not touched since.
"""

import json
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from kamiwaza_sdk.services.storage.collection import ExaminedBlob, FoundBlob
from kamiwaza_sdk.services.storage.remote.bucket import Listed
from kamiwaza_sdk.services.storage.remote.bucket_store import BucketStore, Entry, bytes_name
from kamiwaza_sdk.services.storage.schemas import LeftoverSchema

_T = TypeVar("_T")
_Item = TypeVar("_Item")

_AT_ONCE: Final = 16
_ATTEMPTS: Final = 100
#: Bytes that no entry names are those of an upload for so long; safety does not rest on it.
_UPLOAD_TAKES: Final = timedelta(days=1)
#: For so much longer it is known what a fetch came to.
_RESULT_LASTS: Final = timedelta(days=7)

_logger: Final = logging.getLogger(__name__)


class BucketCollection:
    """A store in a bucket, as a clean-up sees it. Nothing there notes when a blob was used, only when it was written.

    Args:
        store: The store.
        unreferenced_for: How old bytes have to be that no entry names, to be removed.
    """

    def __init__(self, store: BucketStore, *, unreferenced_for: timedelta = _UPLOAD_TAKES) -> None:
        self._store = store
        self._bucket = store.bucket
        self._unreferenced_for = unreferenced_for
        self._prefixes: frozenset[str] | None = None
        self._nonces = dict[str, dict[str, str]]()  # of runs that are closed, which never change

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self._store)

    def now(self) -> float:
        """Return the time by the service's clock."""
        return self._bucket.now().timestamp()

    def leased(self, *, at: float, remove: bool = False) -> frozenset[str]:
        """Return which blobs leases keep at a moment; those that have ended may be removed."""
        return self._store.leased(at=datetime.fromtimestamp(at, UTC), remove=remove)

    def blobs(self, prefix: str, *, unless: "frozenset[str] | set[str]") -> Iterator[FoundBlob]:
        """Yield the blobs whose digests have a prefix: those whose entries say that they are live."""
        found = self._listed(prefix)
        known = dict(_each(self._used, [sha256 for sha256 in found if sha256 not in unless]))
        for sha256, keys in found.items():
            if sha256 in unless:
                yield FoundBlob(sha256, max(one.size for one in keys), 1, 0.0)
            elif (entry := known.get(sha256)) is not None:
                yield FoundBlob(sha256, entry[0].size, 1, entry[1])

    def _listed(self, prefix: str) -> dict[str, list[Listed]]:
        if self._prefixes is None:
            self._prefixes = self._bucket.folders("blobs/")
        found = defaultdict[str, list[Listed]](list)
        if prefix in self._prefixes:
            for listed in self._bucket.list(f"blobs/{prefix}/"):
                found[listed.name.split("/")[2]].append(listed)
        return found

    def examine(self, prefix: str, *, read: bool) -> Iterator[ExaminedBlob]:
        """Yield the blobs whose digests have a prefix. Without reading, their entries and sizes are compared."""
        found = self._listed(prefix)

        def look(sha256: str) -> ExaminedBlob | None:
            return self._examined(sha256, {one.name: one.size for one in found[sha256]}, read=read)

        yield from (blob for blob in _each(look, list(found)) if blob is not None)

    def _examined(self, sha256: str, sizes: dict[str, int], *, read: bool) -> ExaminedBlob | None:
        found = self._store.index(sha256)
        if found is None or found[0].state == "gone":
            return None
        entry, size = found[0], sizes.get(bytes_name(sha256, found[0]))
        if size is None:
            return None
        is_wrong = entry.state == "damaged" or size != entry.size or (read and self._store.digest(sha256) != sha256)
        return ExaminedBlob(sha256, size, "damaged" if is_wrong else None)

    def is_pending(self, sha256: str) -> bool:
        """Tell whether a blob was written since it was looked for."""
        found = self._store.index(sha256)
        return found is not None and self._bucket.size(bytes_name(sha256, found[0])) == found[0].size

    def _used(self, sha256: str) -> tuple[str, tuple[Entry, float] | None]:
        found = self._store.index(sha256)
        if found is None or found[0].state not in {"live", "condemned"}:
            return sha256, None
        return sha256, (found[0], found[1].modified.timestamp())

    def used(self, sha256: str) -> float | None:
        """Return when a blob was written, or brought back; `None` where there is none."""
        found = self._used(sha256)[1]
        return None if found is None else found[1]

    def shares_blocks(self) -> bool:
        """Return `False`: each object has bytes of its own."""
        return False

    def set_aside(self, digests: Sequence[str]) -> list[bool]:
        """Condemn blobs in a run of their own, and close it."""
        if not digests:
            return []
        run = secrets.token_hex(16)
        self._bucket.create(f"runs/{run}", json.dumps({"digests": list(digests)}).encode())
        done = _each(lambda sha256: self._condemn(run, sha256), digests)
        self._closed(run)
        return done

    def _condemn(self, run: str, sha256: str) -> bool:
        found = self._store.index(sha256)
        if found is None or found[0].state not in {"live", "condemned"}:
            return False
        return self._store.change(sha256, found[1], replace(found[0], state="condemned", run=run))

    def runs(self) -> list[str]:
        """Close the runs that others left open or are filling, and return the names of all."""
        names = [listed.name.removeprefix("runs/") for listed in self._bucket.list("runs/")]
        return [run for run in names if self._closed(run) is not None]

    def pending(self) -> Iterator[tuple[str, int]]:
        """Yield the digests and sizes of all that is condemned in runs that are closed."""
        for listed in list(self._bucket.list("runs/")):
            run = listed.name.removeprefix("runs/")
            said = self._said(run) or {}
            for sha256 in said.get("condemned", {}):
                size, names = self.size_in(run, sha256)
                if names:
                    yield sha256, size

    def _said(self, run: str) -> dict[str, Any] | None:  # Any: JSON
        held = self._bucket.read(f"runs/{run}")
        with suppress(ValueError):
            said = json.loads(b"" if held is None else held.content)
            return said if isinstance(said, dict) else None
        return None

    def _closed(self, run: str) -> dict[str, str] | None:
        """Return the nonces of what was condemned before the run was closed, which it is now; `None` where it ended."""
        for _ in range(_ATTEMPTS):
            if run in self._nonces:
                return self._nonces[run]
            held = self._bucket.read(f"runs/{run}")
            if held is None:
                return None
            said = json.loads(held.content)
            if "condemned" in said:
                self._nonces[run] = dict(said["condemned"])
                continue
            nonces = {
                sha256: nonce for sha256, nonce in _each(lambda one: self._nonce(run, one), said["digests"]) if nonce
            }
            content = {"condemned": nonces, "nonce": secrets.token_hex(16)}
            self._bucket.replace(f"runs/{run}", json.dumps(content).encode(), held)
        return None

    def _nonce(self, run: str, sha256: str) -> tuple[str, str]:
        found = self._store.index(sha256)
        if found is None or found[0].state != "condemned" or found[0].run != run:
            return sha256, ""
        return sha256, found[0].nonce

    def contents(self, run: str) -> list[str]:
        """Return the digests of what a run has condemned, and was not brought back since."""
        nonces = self._closed(run) or {}
        there = _each(lambda sha256: self._still(sha256, nonces[sha256]) is not None, list(nonces))
        return [sha256 for sha256, is_there in zip(nonces, there, strict=True) if is_there]

    def _still(self, sha256: str, nonce: str) -> "tuple[Entry, Any] | None":  # Any: what the entry is replaced by
        found = self._store.index(sha256)
        return found if found is not None and found[0].state == "condemned" and found[0].nonce == nonce else None

    def size_in(self, run: str, sha256: str) -> tuple[int, int]:
        """Return the size of what is condemned, and that it has one name; nothing where it is not any more."""
        nonce = (self._closed(run) or {}).get(sha256)
        found = None if nonce is None else self._still(sha256, nonce)
        return (0, 0) if found is None else (found[0].size, 1)

    def restore(self, run: str, sha256: str) -> bool:
        """Have what is condemned be live again; tell whether it was condemned."""
        nonce = (self._closed(run) or {}).get(sha256)
        found = None if nonce is None else self._still(sha256, nonce)
        return found is not None and self._store.change(sha256, found[1], replace(found[0], state="live", run=""))

    def remove(self, run: str, sha256: str) -> bool:
        """Have the entry say that it is gone, then delete its bytes; tell whether it was condemned still."""
        nonce = (self._closed(run) or {}).get(sha256)
        found = None if nonce is None else self._still(sha256, nonce)
        if found is None or not self._store.change(sha256, found[1], replace(found[0], state="gone", run="")):
            return False
        self._bucket.delete(bytes_name(sha256, found[0]))
        return True

    def read_mark(self, run: str) -> dict[str, Any] | None:  # Any: JSON
        """Return what was noted of a run, `None` where nothing was."""
        held = self._bucket.read(f"marks/{run}")
        with suppress(ValueError):
            mark = json.loads(b"" if held is None else held.content)
            return mark if isinstance(mark, dict) else None
        return None

    def write_mark(self, run: str, mark: dict[str, Any]) -> None:  # Any: JSON
        """Note something of a run."""
        self._bucket.write(f"marks/{run}", json.dumps(mark).encode())

    def is_settled(self, run: str) -> bool:
        """Return `True`: what was written is what everybody reads."""
        del run
        return True

    def end(self, run: str) -> None:
        """Forget a run that is empty."""
        if not self.contents(run):
            self._bucket.delete(f"runs/{run}", f"marks/{run}")

    def leftovers(self) -> dict[str, LeftoverSchema]:
        """Return what is condemned; bytes that no entry names are counted where all are read."""
        sizes = [size for _, size in self.pending()]
        nothing = LeftoverSchema(files=0, bytes=0)
        return {
            "staging": nothing,
            "trash": LeftoverSchema(files=len(sizes), bytes=sum(sizes)),
            "quarantine": nothing,
        }

    def sweep(self) -> None:
        """Remove bytes that no entry names, a day after they were written: uploads were interrupted, or clean-ups.

        What machines have agreed by goes, too, after a week.

        The entry is read again after the bytes are deleted, and its writer looks for the bytes after it has written
        it: so one of the two sees the other, however long either slept.
        """
        oldest = self._bucket.now() - self._unreferenced_for
        for prefix in sorted(self._bucket.folders("blobs/")):
            for sha256, keys in self._listed(prefix).items():
                old = [listed for listed in keys if listed.modified < oldest]
                if old:
                    self._sweep(sha256, old)
        outdated = oldest - _RESULT_LASTS
        for listed in list(self._bucket.list("fetches/")):
            if listed.modified < outdated:  # whoever still wants it brings it anew
                self._bucket.delete(listed.name)

    def _sweep(self, sha256: str, old: Iterable[Listed]) -> None:
        for listed in old:
            if self._is_named(sha256, listed.name):
                continue
            self._bucket.delete(listed.name)
            if self._is_named(sha256, listed.name):
                self._note_loss(sha256, listed.name)

    def _is_named(self, sha256: str, name: str) -> bool:
        found = self._store.index(sha256)
        return found is not None and found[0].state != "gone" and bytes_name(sha256, found[0]) == name

    def _note_loss(self, sha256: str, name: str) -> None:
        found = self._store.index(sha256)
        if found is not None and bytes_name(sha256, found[0]) == name:
            _logger.warning("blob %s at %s was named only after its bytes were removed", sha256, self._store)
            self._store.change(sha256, found[1], replace(found[0], state="gone", run=""))


def _each(work: "Callable[[_Item], _T]", items: Sequence[_Item]) -> list[_T]:
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="kamiwaza-remote") as threads:
        return list(threads.map(work, items))
