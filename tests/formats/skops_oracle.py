"""Compares the types that skops trusts, and the untrusted ones in its files, with those of this package.

``python -m tests.formats.skops_oracle --write`` writes the list that the package ships.
"""

import argparse
import functools
import json
import operator
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import scipy.sparse  # type: ignore[import-not-found, import-untyped, unused-ignore]  # installed for this alone
import skops.io  # type: ignore[import-not-found, import-untyped, unused-ignore]  # as above
import skops.io._numpy  # type: ignore[import-not-found, import-untyped, unused-ignore]
import skops.io._sklearn  # type: ignore[import-not-found, import-untyped, unused-ignore]
from skops.io import _trusted_types as types  # type: ignore[import-not-found, import-untyped, unused-ignore]

from kamiwaza_sdk import inspect_file
from kamiwaza_sdk.formats import OtherFileSchema

DATA: Final = Path(__file__).parents[2] / "kamiwaza_sdk" / "formats" / "pickles" / "skops.json"
SOURCES: Final = ("skops", "scikit-learn", "numpy", "scipy")


def trusted() -> dict[str, list[str]]:
    """Return what each of skops' loaders trusts that takes names from libraries."""
    losses = [f"{one.__module__}.{one.__name__}" for one in skops.io._sklearn.ALLOWED_LOSSES]
    return {
        "FunctionNode": [*types.SCIPY_UFUNC_TYPE_NAMES, *types.NUMPY_UFUNC_TYPE_NAMES],
        "LossNode": losses,
        "NdArrayNode": ["numpy.ndarray", *types.NUMPY_DTYPE_TYPE_NAMES],
        "ObjectNode": [*types.SKLEARN_ESTIMATOR_TYPE_NAMES, *types.SKLEARN_INTERNAL_TYPE_NAMES],
        "SparseMatrixNode": [_name(scipy.sparse.spmatrix), _name(scipy.sparse.sparray)],
        "TypeNode": [*types.PRIMITIVE_TYPE_NAMES, *types.CONTAINER_TYPE_NAMES, *types.NUMPY_DTYPE_TYPE_NAMES],
    }


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def content() -> str:
    """Return the data file: names by loader and module."""
    loaders = dict[str, dict[str, str]]()
    for loader, names in trusted().items():
        modules = dict[str, list[str]]()
        for name in sorted(set(names)):
            module, _, own = name.rpartition(".")
            modules.setdefault(module, []).append(own)
        loaders[loader] = {module: " ".join(own) for module, own in modules.items()}
    sources = {package: version(package) for package in SOURCES}
    return json.dumps({"sources": sources, "loaders": loaders}, indent=0) + "\n"


class Own:
    """A class that nobody trusts."""

    def method(self) -> None:
        """Do nothing."""


def models() -> Iterable[tuple[str, Any]]:
    """Yield what is dumped: models of scikit-learn, and whatever else skops can write."""
    from sklearn.ensemble import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression, SGDClassifier  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from sklearn.preprocessing import FunctionTransformer, StandardScaler  # type: ignore[import-not-found, import-untyped, unused-ignore]

    x, y = np.random.default_rng(1).normal(size=(60, 3)), np.arange(60) % 2
    for kind in (GradientBoostingClassifier, HistGradientBoostingClassifier, LogisticRegression, SGDClassifier):
        yield kind.__name__, kind().fit(x, y)
    yield "forest", RandomForestClassifier(n_estimators=3).fit(x, y)
    chain = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression())
    yield "pipeline", chain.fit(abs(x), y)
    yield "own", {"a": Own(), "b": [Own().method, functools.partial(len), operator.itemgetter(1)]}
    yield "system", FunctionTransformer(__import__("os").system)
    yield "numbers", [1, "a", None, {2.0}, (True, b"c"), slice(1, 2), np.dtype("f4"), np.ma.array([1]), np.float32(2)]
    yield "random", [np.random.RandomState(1), np.random.default_rng(2), scipy.sparse.csr_matrix(np.eye(2)), int, Own]


def main() -> None:
    """Write the list, or print where skops says something else."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        DATA.write_text(content())
        return
    wrong = [] if content() == DATA.read_text() else [f"{DATA} is not what skops trusts; run this with --write"]
    with TemporaryDirectory() as directory:
        for name, model in models():
            path = Path(directory, f"{name}.skops")
            skops.io.dump(model, path)
            schema = inspect_file(path)
            assert isinstance(schema, OtherFileSchema)
            here = sorted(f"{one.module}.{one.name}" for one in schema.imports)
            there = skops.io.get_untrusted_types(file=path)
            print(f"{name} | {schema.verdict} | {', '.join(here) or 'all trusted'}")  # noqa: T201 - a report
            wrong += [] if here == there else [f"{name}: skops does not trust {there}"]
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
