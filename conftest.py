"""Runs what the documentation shows: the examples in docstrings, and the code blocks of README.md and docs/*.md.

Each docstring and each page finds an environment without our settings, a directory of its own to work in, and a server
on loopback under the name of ``https://example.org``. The blocks of a page run in order, in one namespace, as in a
notebook. A block with a ``:caption:`` is not run but written to the file of that name.
"""

import ast
import asyncio
import inspect
import os
import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from datetime import timedelta
from doctest import DocTest
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.asyncio import create_async_engine as create_stock_async_engine
from sqlalchemy.orm import Session
from sybil import Example, Sybil
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import pad
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

import kamiwaza_sdk
from kamiwaza_sdk._names import PUBLIC

if TYPE_CHECKING:
    from kamiwaza_sdk import (
        AsyncModelService,
        AsyncRegistry,
        Fetched,
        HubService,
        ModelSchema,
        ModelService,
        ModelVersionSchema,
        Registry,
        StorageService,
    )
    from kamiwaza_sdk.testing import FaultyServer, HuggingFaceServer

#: It needs MLflow, in an environment of its own.
collect_ignore: Final = ["docs/comparison_mlflow.py"]

#: What docstrings name besides what is public, and what a `World` has.
IMPORTED: Final = {"asyncio": asyncio, "AsyncSession": AsyncSession, "Session": Session, "timedelta": timedelta}


#: Of variables that say whose settings hold: ours, and those of the tools that we go by.
SETTINGS: Final = (
    *("MODEL_SERVICE_", "DOWNLOAD_SERVICE_", "HUB_SERVICE_", "STORAGE_SERVICE_"),
    *("AWS_", "AZURE_", "GOOGLE_", "HF_", "OLLAMA_"),
)


def quantized() -> dict[str, bytes]:
    """Return the files of one small model in three quantizations."""
    keys: dict[str, int | str] = {
        "general.architecture": "llama",
        "llama.context_length": 4096,
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
    }
    # By the number of the type: the bytes of 256 elements, and how many of those there are.
    kinds = {"Q8_0": (8, 272, 1250), "Q4_K_M": (12, 144, 500), "Q2_K": (10, 84, 100)}
    models = {f"llama-{name}.gguf": _gguf(keys, *kind) for name, kind in kinds.items()}
    return {"README.md": b"# Llama\n", **models}


def _gguf(keys: dict[str, int | str], kind: int, size: int, blocks: int) -> bytes:
    """Return a GGUF file with one tensor of zeros (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def pair(key: str, value: int | str) -> bytes:
        return text(key) + (struct.pack("<II", 4, value) if isinstance(value, int) else b"\x08\0\0\0" + text(value))

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(pair(*item) for item in keys.items())
    head += text("w") + struct.pack("<IQIQ", 1, 256 * blocks, kind, 0)
    return head + bytes(-len(head) % 32) + bytes(size * blocks)


class World(ExitStack):
    """What docstrings name without saying where it comes from, made when first asked for. On leaving, all is gone."""

    def __enter__(self) -> "World":
        """Leave behind the settings, the working directory and the data directory of whoever runs the tests."""
        environment = self.enter_context(patch.dict(os.environ))
        for name in list(environment):
            if name.startswith(SETTINGS):
                del environment[name]
        home = Path(self.enter_context(TemporaryDirectory()))
        environment["XDG_DATA_HOME"] = str(home / "data")
        environment["HF_HOME"] = str(home / "huggingface")  # where a token may lie
        (home / "work").mkdir()
        self.enter_context(chdir(home / "work"))
        self._dispose_of_engines()
        return self

    def _dispose_of_engines(self) -> None:
        """Close what an example's engines keep open: few examples do, and Python 3.13 warns of it."""
        engines = set[Engine]()

        def remember(connection: Connection) -> None:
            if not connection.dialect.is_async:  # those belong to an event loop
                engines.add(connection.engine)

        def dispose() -> None:
            event.remove(Engine, "engine_connect", remember)
            for engine in engines:
                engine.dispose()

        event.listen(Engine, "engine_connect", remember)
        self.callback(dispose)

    def select(self, names: set[str]) -> dict[str, object]:
        """Return what these names stand for, where they stand for something."""
        homes = {name: home for home in PUBLIC if home != "kamiwaza_sdk.testing" for name in PUBLIC[home]}
        public = {name: getattr(import_module(homes[name]), name) for name in names.intersection(homes)}
        own = [name for name, value in vars(World).items() if isinstance(value, cached_property) and name in names]
        return IMPORTED | public | {name: getattr(self, name) for name in own}

    @cached_property
    def directory(self) -> Path:
        """A directory with one file."""
        directory = Path("tiny").absolute()
        directory.mkdir()
        (directory / "model.onnx").write_bytes(b"weights")
        return directory

    @cached_property
    def lm_studio(self) -> Path:
        """What LM Studio would have, on this file system."""
        directory = Path("lm-studio").absolute()
        (directory / "org/minilm").mkdir(parents=True)
        (directory / "org/minilm/minilm-Q8_0.gguf").write_bytes(b"weights")
        return directory

    @cached_property
    def server(self) -> "FaultyServer":
        """What the pages call ``https://example.org``."""
        from kamiwaza_sdk.testing import FaultyServer, GeneratedBody

        server = self.enter_context(FaultyServer())
        server.add("/minilm/model.onnx", body=b"weights")
        server.add("/minilm/config.json", body=b"{}")
        server.add("/minilm/index.txt", body=b"config.json\nmodel.onnx\n")
        server.add("/minilm/v2/model.onnx", body=b"smaller")
        server.add("/large/model.gguf", body=GeneratedBody(32 * 1024**2))
        return server

    @cached_property
    def hub_server(self) -> "HuggingFaceServer":
        """What the pages call ``https://hub.example.org``."""
        from kamiwaza_sdk.testing import HuggingFaceServer

        server = self.enter_context(HuggingFaceServer())
        files = {
            "README.md": b"# MiniLM\n",
            "config.json": b"{}",
            "model.safetensors": b"weights",
            "onnx/model.onnx": b"graph",
        }
        server.add_repository("org/minilm", files, license="apache-2.0", task="feature-extraction", downloads=100)
        server.add_repository("org/llama-gguf", quantized(), license="apache-2.0")
        return server

    @cached_property
    def hub(self) -> "HubService":
        """A hub that asks there."""
        return kamiwaza_sdk.HubService(config=kamiwaza_sdk.HubConfig(hf_endpoint=self.hub_server.endpoint))

    @cached_property
    def url(self) -> str:
        """The address of a file."""
        return self.server.url("/minilm/model.onnx")

    @cached_property
    def engine(self) -> Engine:
        """An engine of an empty registry."""
        engine = kamiwaza_sdk.create_engine("sqlite://")
        kamiwaza_sdk.setup_database(engine)
        return engine

    @cached_property
    def file_engine(self) -> Engine:
        """An engine of an empty registry in a file of its own."""
        engine = kamiwaza_sdk.create_engine("sqlite:///file.db")
        kamiwaza_sdk.setup_database(engine)
        return engine

    @cached_property
    def storage(self) -> "StorageService":
        """The store that everything goes into by default."""
        return kamiwaza_sdk.StorageService()

    @cached_property
    def async_engine(self) -> AsyncEngine:
        """An engine of another empty registry. It keeps no connection: each `asyncio.run` has its own event loop."""
        kamiwaza_sdk.setup_database(create_engine("sqlite:///registry.db", poolclass=NullPool))
        return create_stock_async_engine("sqlite+aiosqlite:///registry.db", poolclass=NullPool)

    @cached_property
    def models(self) -> "ModelService":
        """A third registry, which has one model. No transaction is open."""
        engine = kamiwaza_sdk.create_engine("sqlite:///models.db")
        kamiwaza_sdk.setup_database(engine)
        models = kamiwaza_sdk.ModelService(self.enter_context(Session(engine)))
        models.create_model(kamiwaza_sdk.CreateModel(name="minilm"))
        models.db.commit()
        return models

    @cached_property
    def async_models(self) -> "AsyncModelService":
        """The same registry for coroutines."""
        self.models.db.commit()
        db = AsyncSession(create_stock_async_engine("sqlite+aiosqlite:///models.db", poolclass=NullPool))
        runner = self.runner
        self.callback(lambda: runner.run(db.close()))
        return kamiwaza_sdk.AsyncModelService(db)

    @cached_property
    def registry(self) -> "Registry":
        """A fourth one, empty, which owns its engine."""
        return self.enter_context(kamiwaza_sdk.Registry("sqlite://"))

    @cached_property
    def async_registry(self) -> "AsyncRegistry":
        """A fifth one, for coroutines."""
        registry = kamiwaza_sdk.AsyncRegistry("sqlite:///coroutines.db")
        runner = self.runner
        self.callback(lambda: runner.run(registry.close()))
        return registry

    @cached_property
    def runner(self) -> asyncio.Runner:
        """The event loop of examples that await."""
        return self.enter_context(asyncio.Runner())

    @cached_property
    def model(self) -> "ModelSchema":
        """That model."""
        model = self.models.get_model_by_name("minilm")
        self.models.db.commit()
        return model

    @cached_property
    def version(self) -> "ModelVersionSchema":
        """The one version of it."""
        file = kamiwaza_sdk.CreateFile(path="model.onnx", size=3, sha256="ab" * 32)
        version = self.models.create_version(self.model.id, kamiwaza_sdk.CreateVersion(files=(file,)))
        self.models.db.commit()
        return version

    @cached_property
    def fetched(self) -> "Fetched":
        """What fetching the directory returns."""
        return asyncio.run(kamiwaza_sdk.fetch(self.directory))


@pytest.fixture
def doctest_namespace(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """What the examples of one docstring name, and no more: an example may count on a registry's being empty."""
    test: DocTest = request.node.dtest
    nodes = [node for example in test.examples for node in ast.walk(ast.parse(example.source))]
    with World() as world:
        names = world.select({node.id for node in nodes if isinstance(node, ast.Name)})
        if re.search(r"\.Async(ModelService|Registry|Calls)\.", test.name):
            own = {"models": world.async_models} if "Model" in test.name else {"registry": world.async_registry}
            names |= {**own, "run_awaiting": partial(_run_awaiting, world.runner, test)}
            for example in test.examples:
                example.source = f"run_awaiting({example.source!r})\n"
        yield names


def _run_awaiting(runner: asyncio.Runner, test: DocTest, source: str) -> object:
    """Return what an example comes to, which may await outside of a function, as at the prompt of IPython."""
    is_expression = isinstance(ast.parse(source).body[0], ast.Expr)
    mode = "eval" if is_expression else "exec"
    code = compile(source, test.name, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, test.globs)  # noqa: S307 - our own examples
    return runner.run(result) if code.co_flags & inspect.CO_COROUTINE else result


def _open_page(namespace: dict[str, Any]) -> None:  # Any: whatever blocks define
    namespace["_world"] = World().__enter__()
    namespace["_runner"] = asyncio.Runner()


def _close_page(namespace: dict[str, Any]) -> None:  # Any: as above
    namespace["_runner"].close()
    namespace["_world"].close()


def _addressed(source: str, example: Example) -> str:
    world: World = example.namespace["_world"]
    if "https://hub.example.org" in source:
        source = source.replace("https://hub.example.org", world.hub_server.endpoint)
    return source.replace("https://example.org", world.server.url(""))


def _run_block(example: Example) -> None:
    """Run a block, ``await`` and all, or write it to the file that its caption names."""
    source = _addressed(example.parsed, example)
    if file := example.region.lexemes.get("options", {}).get("caption"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(source)
        return
    source = pad(source, example.line + example.parsed.line_offset)
    code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    running = eval(code, example.namespace)  # noqa: S307 - our own pages
    if code.co_flags & inspect.CO_COROUTINE:
        example.namespace["_runner"].run(running)


class _Check(DocTestEvaluator):
    """Runs a line with a prompt, and compares what it prints."""

    def __call__(self, example: Example) -> str:
        example.parsed.source = _addressed(example.parsed.source, example)
        if example.parsed.exc_msg is not None:
            example.parsed.exc_msg = _addressed(example.parsed.exc_msg, example)
        return super().__call__(example)


_parser = PythonCodeBlockParser()
_parser.codeblock_parser = CodeBlockParser("python", _run_block)
_parser.doctest_parser = DocTestStringParser(_Check())
pytest_collect_file = Sybil(
    parsers=[_parser], patterns=["README.md", "docs/*.md", "docs/**/*.md"], setup=_open_page, teardown=_close_page
).pytest()
