"""What the system refuses for the length of a test."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_file_larger_than"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Have the system refuse this process, in all its threads, to write any further into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
