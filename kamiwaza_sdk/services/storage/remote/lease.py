"""A lease on some work, among machines that share a store: one does it, the others wait, and a dead one is succeeded.

It is a small object that is changed by compare-and-swap. Its holder writes it anew every few seconds, with other random
bytes. Who sees it unchanged for its time to live, by a clock of one's own that only goes forward, takes it over. No two
clocks are ever compared. After a pause, such as a suspended machine, there can be two holders: that costs traffic, and
nothing else, as what they bring is verified and named by its content.
"""

import json
import secrets
import time
from contextlib import suppress
from typing import Any, Final

from kamiwaza_sdk.services.storage.remote.objects import Held, SmallObjects

#: For how many seconds a lease is not changed before its holder counts as dead.
TIME_TO_LIVE: Final = 30.0


class WorkLease:
    """A lease on one piece of work, as one of those who want it done sees it. Every method blocks.

    Args:
        objects: Where it is.
        name: What it is called.
        time_to_live: For how many seconds it is not changed before its holder counts as dead.

    Attributes:
        result: What the work came to, as its last holder wrote it; `None` while it is not done.
    """

    def __init__(self, objects: SmallObjects, name: str, *, time_to_live: float = TIME_TO_LIVE) -> None:
        self._objects = objects
        self._name = name
        self._time_to_live = time_to_live
        self._nonce = ""
        self._seen: tuple[bytes, float] | None = None
        self.result: Any = None  # Any: JSON

    @property
    def interval(self) -> float:
        """After how many seconds its holder has to say again that it is alive."""
        return self._time_to_live / 5

    def acquire(self) -> bool:
        """Tell whether the work is the caller's now. Where not, it is done (`result`), or somebody is at it."""
        held = self._objects.read(self._name)
        if held is None:
            return self._written(None, {"state": "held"})
        said = _said(held)
        if said.get("state") == "done":
            self.result = said.get("result")
            return False
        if said.get("state") == "held" and not self._is_dead(held.content):
            return False
        return self._written(held, {"state": "held"})

    def _is_dead(self, content: bytes) -> bool:
        now = time.monotonic()
        if self._seen is None or self._seen[0] != content:
            self._seen = content, now
        return now - self._seen[1] >= self._time_to_live

    def renew(self) -> bool:
        """Tell whether the work still is the caller's, and say so to the others."""
        return self._changed({"state": "held"})

    def finish(self, result: Any) -> bool:  # Any: JSON
        """Say what the work came to. `False`: another has it."""
        return self._changed({"state": "done", "result": result})

    def redo(self) -> bool:
        """Take up work that was done, as its result is of no use any more. `False`: another was faster."""
        held = self._objects.read(self._name)
        if held is None or _said(held).get("state") != "done":
            return False
        self.result = None
        return self._written(held, {"state": "held"})

    def release(self) -> None:
        """Let another have it, the work not being done."""
        self._changed({"state": "free"})

    def _changed(self, said: dict[str, Any]) -> bool:  # Any: JSON
        held = self._objects.read(self._name)
        if held is None or not self._nonce or _said(held).get("nonce") != self._nonce:
            return False
        return self._written(held, said)

    def _written(self, held: Held | None, said: dict[str, Any]) -> bool:  # Any: JSON
        before, self._nonce = self._nonce, secrets.token_hex(16)  # also where writing is cut off: it may be written
        content = json.dumps({**said, "nonce": self._nonce}).encode()
        if held is None:
            is_mine = self._objects.create(self._name, content)
        else:
            is_mine = self._objects.replace(self._name, content, held)
        if not is_mine:
            self._nonce = before
        return is_mine


def _said(held: Held) -> dict[str, Any]:  # Any: JSON
    with suppress(ValueError):
        said = json.loads(held.content)
        if isinstance(said, dict):
            return said
    return {}
