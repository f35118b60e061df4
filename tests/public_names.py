"""Writes the stubs that tell type checkers the public names, which the package itself loads when they are first used.

``python -m tests.public_names`` writes them; with ``--check`` it only says which are out of date, and fails.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

import kamiwaza_sdk
from kamiwaza_sdk._names import PUBLIC

_ROOT: Final = Path(kamiwaza_sdk.__file__).parent.parent


def stub_of(package: str) -> Path:
    """Return where the stub of a module lies: beside the module."""
    path = _ROOT / package.replace(".", "/")
    return path / "__init__.pyi" if path.is_dir() else path.with_suffix(".pyi")


def write_stub(package: str) -> str:
    """Return the text of a module's stub."""
    names = PUBLIC[package]
    lines = ["# Written by tests/public_names.py from kamiwaza_sdk/_names.py.\n\n"]
    for name, module in names.items():
        parent = module.rpartition(".")[0] if module == f"{package}.{name}" else module
        lines.append(f"from {parent} import {name} as {name}\n")
    lines.append(f"\n__all__ = {sorted(names)!r}\n")
    return _ruff(_ruff("".join(lines), "check", "--quiet", "--fix-only", "--select=I"), "format", "--quiet")


def _ruff(text: str, *command: str) -> str:
    ruff = ["ruff", *command, "--stdin-filename=kamiwaza_sdk/stub.pyi", "-"]
    return subprocess.run(ruff, input=text, text=True, stdout=subprocess.PIPE, check=True, cwd=_ROOT).stdout


def main() -> None:
    """Write the stubs, or check them."""
    check = "--check" in sys.argv[1:]
    stale = {stub_of(name): text for name in PUBLIC if _text(stub_of(name)) != (text := write_stub(name))}
    for path, text in stale.items():
        if not check:
            path.write_text(text)
    if check and stale:
        names = ", ".join(str(path.relative_to(_ROOT)) for path in stale)
        sys.exit(f"{names}: out of date; run python -m tests.public_names")


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    main()
