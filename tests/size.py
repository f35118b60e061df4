"""How large the package is, and how many of its files a call runs through (``nox -s size``).

Run as a program, it prints a table. The limits are those of the table in the docs of contributors; what is above one is
marked, and nothing fails: a number is to be seen by whoever makes it grow.
"""

import asyncio
import re
import statistics
import sys
import tempfile
import threading
import tokenize
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    DownloadService,
    Field,
    HubConfig,
    HubService,
    ModelService,
    StorageConfig,
    StorageService,
    setup_database,
)
from kamiwaza_sdk.testing import HuggingFaceServer

PACKAGE: Final = Path(kamiwaza_sdk.__file__).parent
TESTS: Final = PACKAGE.parent / "tests"
#: Modules that a script writes: nobody reads or changes them by hand.
GENERATED: Final = frozenset({"services/model/async_services.py"})
#: Modules that whoever uses the library may import: each service has these by its pattern.
_PUBLIC: Final = re.compile(
    r"|database|exceptions|formats|migrations|orm|sources|types|testing(\.[a-z]\w*)*"
    r"|services\.\w+\.(services|async_services|config|exceptions|setup|models|schemas)(\.\w+)?"
)
#: Layout of a line that is neither code nor a docstring.
_NO_CODE: Final = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


class Figure(NamedTuple):
    """One row: what is counted, how much there is, and how much there may be."""

    name: str
    amount: float
    limit: float


def modules() -> list[Path]:
    """Return the package's modules that are written by hand."""
    return [file for file in sorted(PACKAGE.rglob("*.py")) if str(file.relative_to(PACKAGE)) not in GENERATED]


def lines_of_code(file: Path) -> int:
    """Count the lines that hold code: no comment, no blank line, no text that stands alone."""
    lines: set[int] = set()
    begins = True
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type in _NO_CODE or token.type == tokenize.ENDMARKER:
                begins = begins or token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
            elif not (begins and token.type == tokenize.STRING):
                lines.update(range(token.start[0], token.end[0] + 1))
                begins = False
    return len(lines)


def files_run_through(call: Callable[[], object]) -> int:
    """Count the package's files in which a function is called, in any thread, once everything is imported."""
    call()
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    testing = str(PACKAGE / "testing")
    return sum(not file.startswith(testing) for file in files)


def tests_of_private_modules() -> int:
    """Count the test modules that import what nobody else may: a private name, or a module that holds no public one."""
    used = re.compile(r"^\s*(?:from|import) kamiwaza_sdk\.?([\w.]*)", re.MULTILINE)
    return sum(
        any(not _PUBLIC.fullmatch(name) for name in used.findall(file.read_text())) for file in TESTS.rglob("*.py")
    )


def calls(place: Path, server: HuggingFaceServer, db: Session) -> Iterator[tuple[str, Callable[[], object], int]]:
    """Yield the calls to follow, each with what it brings being new, and the number of files it may run through."""
    storage = StorageService(StorageConfig(root=place / "store"))
    models = ModelService(db, hub=HubService(storage=storage, config=HubConfig(hf_endpoint=server.endpoint)))
    names, downloads = count(), DownloadService()

    def pull() -> object:
        name = f"org/m{next(names)}"
        server.add_repository(name, {"config.json": b"{}", "README.md": name.encode(), "model.bin": name.encode()})
        db.commit()  # a transfer holds no transaction open
        return asyncio.run(models.pull_model(f"hf://{name}"))

    def download() -> object:
        return asyncio.run(downloads.download(server.url("/small"), place / f"small{next(names)}"))

    server.add("/small", body=b"small")
    yield 'pull_model("hf://...")', pull, 50
    yield "download of a small file", download, 14
    yield "search_models", lambda: models.search_models(text="org", where=Field.name != "org/none"), 12


def figures() -> Iterator[Figure]:
    """Count everything."""
    files = modules()
    yield Figure("modules", len(files), 165)
    yield Figure("median lines of code", statistics.median(map(lines_of_code, files)), 200)
    yield Figure("lines", sum(len(file.read_text().splitlines()) for file in files), 34_300)
    yield Figure("public names at the root", len(kamiwaza_sdk.__all__), 130)
    yield Figure("test modules that import private ones", tests_of_private_modules(), 15)
    engine = create_engine("sqlite://")
    setup_database(engine)
    with tempfile.TemporaryDirectory() as place, HuggingFaceServer() as server, Session(engine) as db:
        for name, call, limit in calls(Path(place), server, db):
            yield Figure(f"files: {name}", files_run_through(call), limit)
    engine.dispose()


def main() -> None:
    """Print the table."""
    print("| what | count | at most |\n|---|---|---|")  # noqa: T201 - that is what it is for
    for figure in figures():
        more = " (more)" if figure.amount > figure.limit else ""
        print(f"| {figure.name} | {figure.amount:,.0f}{more} | {figure.limit:,.0f} |")  # noqa: T201 - as above


if __name__ == "__main__":
    main()
