"""Fetch a published model, verified, and register it. Run it twice: then 0 bytes travel, and nothing is added.

::

    pip install -e ".[examples]"
    python examples/quickstart.py
    python examples/quickstart.py --source https://example.org/model.onnx --name my-model

The model is the one that the PyPI package ``magika`` ships. So that this works offline, this very program serves it on
loopback. The digests it is verified against are those that the package's wheel publishes.
"""

import argparse
import asyncio
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from threading import Thread

from pydantic import ByteSize
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    Fetched,
    ModelService,
    ModelVersionSchema,
    ServiceException,
    StorageService,
    create_engine,
    fetch,
    setup_database,
)

DIRECTORY = "magika/models/standard_v3_3"
FILES = ("model.onnx", "config.min.json", "README.md")


def main() -> None:
    """Fetch first, without a database, then register."""
    parser = argparse.ArgumentParser(description="Fetch a model, verified, and register it.")
    parser.add_argument("--source", nargs="+", help="an http or https URL, several, or a local file or directory")
    parser.add_argument("--name", help="what to call the model (default: what the source suggests)")
    arguments = parser.parse_args()
    try:
        fetched = asyncio.run(bring(arguments.source, progress=sys.stderr.isatty()))
        version = register(fetched, name=arguments.name or (None if arguments.source else "magika"))
        report(version, fetched)
    except ServiceException as error:
        sys.exit(f"error: {error}")


async def bring(source: list[str] | None, *, progress: bool) -> Fetched:
    """Bring the files into the store. Those whose digests are known and kept there are not even asked for."""
    if source:
        return await fetch(source[0] if len(source) == 1 else source, progress=progress)
    with served(DIRECTORY) as url:
        urls = [f"{url}/{name}" for name in FILES]
        return await fetch(urls, sha256=published_digests(), progress=progress)


def register(fetched: Fetched, *, name: str | None) -> ModelVersionSchema:
    """Register the files in one short transaction; files that are registered already give the same version."""
    engine = create_engine()  # SQLite in the user's data directory, unless MODEL_SERVICE_DATABASE_URL is set
    setup_database(engine)
    with Session(engine) as db, db.begin():
        version = ModelService(db).register(fetched, name=name)
    engine.dispose()
    return version


def report(version: ModelVersionSchema, fetched: Fetched) -> None:
    """Say what is registered, where it lies, and what had to travel for it."""
    store = StorageService()
    print(f"{version.model_name}, version {version.version}: {readable(version.size)}")
    for file in version.files:
        print(f"\n  {file.path}, {readable(file.size)}\n  sha256 {file.sha256}\n  {store.path(file.sha256)}")
    print(f"\n{readable(fetched.bytes_fetched)} of {readable(fetched.size)} travelled.")


def readable(size: int) -> str:
    """Return a size as people write it."""
    return ByteSize(size).human_readable(separator=" ") if size else "0 bytes"


def published_digests() -> dict[str, str]:
    """Return the SHA-256 of each file, which the RECORD in magika's wheel has in base64 without padding."""
    hashes = {file.name: file.hash for file in distribution("magika").files or () if str(file.parent) == DIRECTORY}
    return {name: urlsafe_b64decode(f"{known.value}=").hex() for name in FILES if (known := hashes.get(name))}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a directory, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(directory: str) -> Iterator[str]:
    """Serve a directory of the installed magika, which need not be imported, and yield its URL."""
    handler = partial(QuietHandler, directory=str(distribution("magika").locate_file(directory)))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


if __name__ == "__main__":
    main()
