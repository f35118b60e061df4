"""The package as a whole: what it offers, what importing it costs, and that its two colours are one."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final, get_args, get_type_hints

import pytest

import kamiwaza_sdk
from kamiwaza_sdk import AsyncModelService, ModelService
from kamiwaza_sdk._names import PUBLIC
from kamiwaza_sdk.services.model.ids import uuid7

ROOT: Final = Path(__file__).parents[1]


@pytest.mark.parametrize("home", PUBLIC)
def test_all_is_sorted_complete_and_importable(home: str) -> None:
    module = import_module(home)
    assert module.__all__ == sorted(PUBLIC[home])
    assert list(PUBLIC[home]) == sorted(PUBLIC[home])
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("home", PUBLIC)
def test_every_name_is_public_where_it_is_defined(home: str) -> None:
    for name, module in PUBLIC[home].items():
        if not module.endswith(f".{name}"):
            assert getattr(import_module(home), name) is vars(import_module(module))[name]
        assert not any(part.startswith("_") for part in module.split(".")), (name, module)


def test_the_root_has_few_names() -> None:
    assert len(kamiwaza_sdk.__all__) <= 130


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Modelservice'"):
        kamiwaza_sdk.Modelservice  # type: ignore[attr-defined]  # noqa: B018 - the mistake under test


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GGUFSchema", "import GGUFSchema from kamiwaza_sdk.formats"),
        ("DBModelVersion", "import DBModelVersion from kamiwaza_sdk.orm"),
        ("ModelSource", "import ModelSource from kamiwaza_sdk.sources"),
        ("ModelSort", "import ModelSort from kamiwaza_sdk.types"),
        ("FileLike", "import FileEntry from kamiwaza_sdk.types"),
        ("ObjectionSchema", "import ViolationSchema from kamiwaza_sdk.types"),
        ("OutsideStoreException", "import PathTraversalException from kamiwaza_sdk$"),
        ("RepositoryGatedException", "import RepositoryAccessException from kamiwaza_sdk$"),
        ("SourceTooLargeException", "import ModelTooLargeException from kamiwaza_sdk$"),
        ("KamiwazaClient", "is another library.*'kamiwaza-sdk<2'"),
    ],
)
def test_an_old_name_leads_to_the_new_one(name: str, message: str) -> None:
    with pytest.raises(ImportError, match=message):
        exec(f"from kamiwaza_sdk import {name}", {})
    with pytest.raises(ImportError, match=message):
        getattr(kamiwaza_sdk, name)


def test_the_distribution_is_newer_than_the_client_that_shares_its_name() -> None:
    assert int(version("kamiwaza-sdk").split(".")[0]) >= 2


def _run(code: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_opens_nothing_starts_nothing_and_reads_no_variable() -> None:
    code = """
import os, sys, threading
seen = []
def audit(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so")) and isinstance(args[0], str):
        seen.append((event, str(args[0])))
    if event.startswith(("socket.", "sqlite3.", "subprocess.", "os.mkdir")):
        seen.append((event, repr(args)))
names = []
real = os.environ.__class__.__getitem__
os.environ.__class__.__getitem__ = lambda self, key: names.append(key) or real(self, key)
sys.addaudithook(audit)
import kamiwaza_sdk
print(seen, [name for name in names if "SERVICE" in name], threading.active_count(), sorted(
    {name.partition(".")[0] for name in sys.modules} & {"aiohttp", "alembic", "sqlalchemy", "pydantic", "tqdm"}
))
"""
    assert _run(code) == "[] [] 1 []\n"


def test_the_registry_alone_loads_no_http_client_no_migrations_and_no_driver() -> None:
    code = """
import sys
from kamiwaza_sdk import AsyncModelService, CreateModel, ModelService
print(sorted({name.partition(".")[0] for name in sys.modules} & {"aiohttp", "alembic", "tqdm", "psycopg", "aiosqlite"}))
"""
    assert _run(code) == "[]\n"


def _methods(kind: type) -> dict[str, object]:
    members = {name: value for base in reversed(kind.__mro__[:-1]) for name, value in vars(base).items()}
    return {name: value for name, value in members.items() if not name.startswith("_") and callable(value)}


def test_the_first_example_runs_with_nothing_but_what_the_package_requires(tmp_path: Path) -> None:
    """No package of an extra can be imported, as after ``pip install kamiwaza-sdk`` in a new environment."""
    example = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert example is not None
    extras = ["aiosqlite", "asyncpg", "greenlet", "ipywidgets", "matplotlib", "numpy", "obstore", "psycopg", "tqdm"]
    program = f"import sys\nsys.modules.update(dict.fromkeys({extras}))\n{example[1]}\n" + (
        "from kamiwaza_sdk.cli.parser import main\n"
        "assert sorted(file.name for file in path.iterdir()) == ['config.json']\n"
        "assert main(['show', 'classifier@production']) == 0\n"
        "assert main(['pull', 'run-7', '--name', 'again']) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_both_colours_have_the_same_methods() -> None:
    assert sorted(_methods(AsyncModelService)) == sorted(_methods(ModelService))


@pytest.mark.parametrize("name", ["__init__", *_methods(ModelService)])
def test_both_colours_have_the_same_signatures(name: str) -> None:
    plain, coroutine = getattr(ModelService, name), getattr(AsyncModelService, name)
    strip = {"db": inspect.Parameter.empty}
    signatures = [
        [p.replace(annotation=strip.get(p.name, p.annotation)) for p in inspect.signature(method).parameters.values()]
        for method in (plain, coroutine)
    ]
    assert signatures[0] == signatures[1]
    returned = inspect.signature(coroutine).return_annotation
    if name == "iter_models":
        assert inspect.isasyncgenfunction(coroutine)
        returned = Iterator[get_args(returned)]  # type: ignore[misc]  # what it iterates over, at run time
    assert inspect.signature(plain).return_annotation == returned
    assert name in {"__init__", "iter_models"} or inspect.iscoroutinefunction(coroutine)


def test_ids_increase_whatever_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [uuid7() for _ in range(1000)]
    monkeypatch.setattr("kamiwaza_sdk.services.model.ids.time.time_ns", lambda: 0)
    second = [uuid7() for _ in range(1000)]
    assert first + second == sorted({*first, *second})
    assert {(value.version, value.variant) for value in first + second} == {(7, "specified in RFC 4122")}


def test_the_plain_patterns_return_types_hold() -> None:
    from kamiwaza_sdk import ModelSchema

    assert get_type_hints(ModelService.list_models)["return"] == list[ModelSchema]
    assert get_type_hints(ModelService.get_model)["return"] is ModelSchema
