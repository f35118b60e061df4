#!/usr/bin/env bash
# distributed 2026.8.0: to import it changes how the exceptions of all other packages are pickled, in the whole process.
# One would expect an exception with a `__reduce__` of its own to be pickled by that, whatever is imported beside it. Seen:
# distributed has tblib register a function for every class of exception that is there by then, which pickles the cause as
# well. So an exception that leaves a cause behind that cannot be pickled was pickled before the import, and is not after it:
# TypeError. A class that is made after the import is not touched.
# What follows: what is sent to a worker, or comes back from one, had better be data; tests that import distributed restore
# copyreg.dispatch_table.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "distributed==2026.8.0"
cd "$place"
venv/bin/python - <<'END'
import pickle
import sys
import threading


class LeavesItsCauseBehindException(Exception):
    """An exception that is pickled without its cause."""

    def __reduce__(self):
        return type(self), self.args


def outcome(kind):
    error = kind("text")
    error.__cause__ = ValueError(threading.Lock())
    try:
        return repr(pickle.loads(pickle.dumps(error)))
    except Exception as refusal:
        return type(refusal).__name__


before = outcome(LeavesItsCauseBehindException)
import distributed  # noqa: E402


class MadeLaterException(LeavesItsCauseBehindException):
    """The same, made after the import."""


after, later = outcome(LeavesItsCauseBehindException), outcome(MadeLaterException)
print(f"distributed {distributed.__version__}: before {before}, after {after}, made later {later}")
seen = (before, after, later)
expected = ("LeavesItsCauseBehindException('text')", "TypeError", "MadeLaterException('text')")
sys.exit(seen != expected)
END
