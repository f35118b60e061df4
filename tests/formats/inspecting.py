"""Inspects one file, and prints the time and memory. Run as a process of its own by `tests.formats.spending`."""

import sys
from pathlib import Path

from kamiwaza_sdk import FormatException, inspect_file
from kamiwaza_sdk.formats import describe_repository
from tests.formats.spending import main


def _inspect(path: Path) -> str:
    try:
        if path.suffix == ".json":
            return str(describe_repository({path.name: path.read_bytes()}, {}).architecture)
        schema = inspect_file(path)
    except FormatException as error:
        return f"{type(error).__name__}: {error.reason}"
    return f"{schema.format}, {getattr(schema, 'verdict', None)}"


if __name__ == "__main__":
    main(lambda: _inspect(Path(sys.argv[1])))
