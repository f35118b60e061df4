"""A server whose connections are each held to a rate by a token bucket, in a process of its own.

Usage: ``python -m tests.benchmarks.throttle FILE BYTES_PER_SECOND`` prints the URL of the file, and serves it and its
ranges, until its standard input ends.

The tokens belong to the connection, not to the request: a bucket fills at the rate while it is not full, also between
two answers, and holds what 20 ms bring.
"""

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Final

_DEPTH: Final = 0.02
_PIECE: Final = 64 * 1024
_RANGE: Final = re.compile(rb"^range: *bytes=(\d+)-(\d*)", re.IGNORECASE | re.MULTILINE)


class Bucket:
    """Tokens for bytes.

    Args:
        rate: How many come in a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._full = rate * _DEPTH
        self._tokens = self._full
        self._at = time.monotonic()

    async def take(self, count: int) -> None:
        """Return once there are tokens for so many bytes, and take them."""
        while True:
            now = time.monotonic()
            self._tokens = min(self._full, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens >= count:
                self._tokens -= count
                return
            await asyncio.sleep((count - self._tokens) / self._rate)


async def _serve(file: Path, rate: float) -> None:
    body = memoryview(file.read_bytes())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bucket = Bucket(rate)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked = _RANGE.search(head)
                start = int(asked[1]) if asked else 0
                end = int(asked[2]) + 1 if asked and asked[2] else len(body)
                status = f"206 Partial Content\r\nContent-Range: bytes {start}-{end - 1}/{len(body)}"
                told = f'{status if asked else "200 OK"}\r\nContent-Length: {end - start}\r\nETag: "1"'
                writer.write(f"HTTP/1.1 {told}\r\nAccept-Ranges: bytes\r\n\r\n".encode())
                for at in range(start, 0 if head.startswith(b"HEAD") else end, _PIECE):
                    piece = body[at : min(at + _PIECE, end)]
                    await bucket.take(len(piece))
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/model.bin", flush=True)  # noqa: T201 - for the caller
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), float(sys.argv[2])))
