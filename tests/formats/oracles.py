"""Compares the verdicts with those of picklescan, modelscan and PyTorch: ``nox -s oracles``.

PyTorch is too large for CI; the other two scan the files of the tests.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch  # type: ignore[import-not-found, unused-ignore]  # installed for this alone
from modelscan.modelscan import ModelScan  # type: ignore[import-not-found, unused-ignore]  # as above
from torch._weights_only_unpickler import (  # type: ignore[import-not-found, unused-ignore]  # as above
    _get_allowed_globals,
)

from kamiwaza_sdk import FormatException, inspect_file
from kamiwaza_sdk.formats import PickleSchema
from kamiwaza_sdk.formats.pickles.rules import TORCH, TORCH_RELEASE
from tests.formats.test_pickles import DANGEROUS, NONE, SAFE, SUSPICIOUS, scanned

__all__ = ["compare_allowed", "compare_files", "compare_weights"]

_Report = Callable[[str], object]


def compare_allowed(report: _Report) -> bool:
    """Compare the list of what weights may import with that of the release it is of."""
    theirs = {(name.rpartition(".")[0], name.rpartition(".")[2]) for name in _get_allowed_globals()}
    report(f"PyTorch {torch.__version__}: allows {len(theirs)}; not here: {sorted(theirs - TORCH)}; ")
    report(f"only here: {sorted(TORCH - theirs)}\n")
    return theirs == TORCH or torch.__version__.partition("+")[0] != TORCH_RELEASE


def _verdict(path: Path) -> str:
    try:
        schema = inspect_file(path)
    except FormatException as error:
        return type(error).__name__
    assert isinstance(schema, PickleSchema)
    return schema.verdict


def compare_weights(directory: Path, report: _Report) -> bool:
    """Have PyTorch write weights in both of its formats: all are safe."""
    verdicts = set[str]()
    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.uint16, torch.float8_e4m3fn)
    new = (torch.uint16, torch.float8_e4m3fn)  # the old format has no storages of these
    for number in range(400):
        kind = kinds[number % len(kinds)]
        weights = {"layer": torch.randn(number + 1, 7).to(kind), "set": {1}}
        path = directory / "weights.pt"
        torch.save(weights, path, _use_new_zipfile_serialization=kind in new or number % 4 == 0)
        torch.load(path, weights_only=True)
        verdicts.add(_verdict(path))
    report(f"400 files that PyTorch wrote and reads as weights: {sorted(verdicts)}\n")
    return verdicts == {"safe"}


def _loaded(path: Path) -> str:
    try:
        torch.load(path, weights_only=True)
    except Exception:  # noqa: BLE001 - it raises anything on what is damaged
        return "refused"
    return "loaded"


def compare_files(directory: Path, report: _Report) -> None:
    """Print where verdicts differ on the files of the tests."""
    scan = ModelScan()
    for name, data in {**SAFE, **SUSPICIOUS, **DANGEROUS, **NONE}.items():
        path = directory / "model.pkl"
        path.write_bytes(data)
        ours = _verdict(path)
        try:
            picklescan = scanned(path, strictly=True)
        except (ValueError, OSError, IndexError) as error:
            picklescan = type(error).__name__
        issues = scan.scan(path)["summary"]["total_issues"]
        modelscan = "issues" if issues else "none"
        report(f"{name} | {ours} | {picklescan} | {modelscan} | {_loaded(path)}\n")


def main(report: _Report = sys.stdout.write) -> int:
    """Compare everything, and return 1 where PyTorch disagrees."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        compare_files(Path(directory), report)
        right = [compare_allowed(report), compare_weights(Path(directory), report)]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
