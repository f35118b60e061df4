"""Compares numbers of parameters with those of huggingface.js, which npm installs: ``nox -s oracles``."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kamiwaza_sdk import inspect_directory
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.formats.repositories import REPOSITORIES, Row, write_repository

__all__ = ["compare_parameters"]

_SCRIPT = Path(__file__).with_name("huggingface_js.mjs")


#: What huggingface.js does not read, so that its number is another one: layers behind a model, AutoAWQ's file.
_UNREAD = frozenset({"sentence-transformers/LaBSE", "TheBloke/Llama-2-7B-AWQ, as AutoAWQ writes it"})


def _is_found(row: Row) -> bool:
    return (
        row.name not in _UNREAD
        and row.stored is not None
        and bool({"model.safetensors", "model.safetensors.index.json"} & row.files.keys())
    )


def compare_parameters(modules: Path) -> list[str]:
    """Return where huggingface.js counts other parameters than we do.

    Args:
        modules: The directory of ``node_modules``.
    """
    rows = {f"org/m{number}": row for number, row in enumerate(REPOSITORIES) if _is_found(row)}
    with tempfile.TemporaryDirectory() as place, HuggingFaceServer() as server:
        ours = dict[str, int | None]()
        for name, row in rows.items():
            root = write_repository(Path(place) / name, row)
            files = {path: (root / path).read_bytes() for path in row.files}
            server.add_repository(name, files)
            ours[name] = inspect_directory(root).parameters
        script = modules / _SCRIPT.name  # it imports what lies beside it
        script.write_bytes(_SCRIPT.read_bytes())
        command = ["node", str(script), server.endpoint, *rows]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    theirs = json.loads(done.stdout)
    return [
        f"{rows[name].name}: {ours[name]} here, {theirs[name]} there" for name in rows if ours[name] != theirs[name]
    ]


if __name__ == "__main__":
    differences = compare_parameters(Path(os.environ["HUGGINGFACE_JS"]))
    sys.stdout.write("\n".join([*differences, f"{len(differences)} differences from huggingface.js\n"]))
    sys.exit(bool(differences))
