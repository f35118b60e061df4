"""Many small files from a server that is far away, in a process of its own.

Usage: ``python -m tests.benchmarks.serve COUNT SIZE SECONDS`` prints its URL, and answers each request after so many
seconds, until its standard input ends.
"""

import sys

from kamiwaza_sdk.testing import Delay, FaultyServer, GeneratedBody

if __name__ == "__main__":
    count, size, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with FaultyServer() as server:
        for number in range(count):
            server.add(f"/{number}", body=GeneratedBody(size), always=Delay(seconds))
        print(server.url(""), flush=True)  # noqa: T201 - what the caller reads
        sys.stdin.read()
