"""Writes `AsyncModelService` from `ModelService`, `AsyncRegistry` from `Registry`: ``python -m tests.generate_async``.

With ``--check`` it writes nothing, and fails if a file is not what it would write.

A method that hands its arguments on to the registry becomes one call of the synchronous method. The others are
translated: calls of methods of the service are awaited, what blocks runs in a thread, and generators become
asynchronous. Examples in docstrings are awaited, too.
"""

import argparse
import ast
import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[1] / "kamiwaza_sdk"


@dataclass(frozen=True)
class Target:
    """A class to write.

    Attributes:
        source: The name of the class with the plain methods.
        files: Where those are, in the order in which they are written.
        generated: The file to write.
        subject: What examples call an instance.
        text: The head of the class.
        imports: What only the coroutines need.
        notes: What holds of a coroutine only.
    """

    source: str
    files: tuple[str, ...]
    generated: Path
    subject: str
    text: str
    imports: frozenset[str]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """The docstring of the module."""
        written = (
            f"Generated from `{self.source}` by ``python -m tests.generate_async``: change that, and run this again."
        )
        return f'"""`Async{self.source}`: `{self.source}` as coroutines.\n\n{written}\n"""\n\n'


_MODEL_CLASS: Final = '''class AsyncModelService(AsyncCalls):
    """The models of one namespace, as coroutines over the host's `AsyncSession`.

    Everything said of `ModelService` and its methods holds. A call is atomic under cancellation: it happens whole or
    not at all, the session stays usable, and `asyncio.CancelledError` is raised after it. So a call that waits for
    another transaction's lock is not cut short by `asyncio.timeout`, but by the database's own ``lock_timeout``. Calls
    on one session take turns.

    Args:
        db: The host's session.
        namespace: Sees and touches no other. Created by its first model.
        actor: Who is at work, for the history: such as the name of a user or a job.
        config: Default: read from ``MODEL_SERVICE_…`` when first needed.
        hub: What ``pull_model`` fetches with. Default: one of its own.
        downloads: What ``download_model`` downloads with. Default: one of its own.

    Raises:
        InvalidInputException: `namespace` cannot be kept; or `db` is no `AsyncSession`, or `actor` no text of at most
            255 characters.
        MissingDependencyException: greenlet is not installed: ``pip install 'kamiwaza-sdk[async]'``.

    Example:
        >>> async def names():
        ...     async with AsyncSession(async_engine) as db:
        ...         return [model.name for model in await AsyncModelService(db).list_models()]
        >>> asyncio.run(names())
        []
    """
'''
_REGISTRY_CLASS: Final = '''class AsyncRegistry(AsyncCalls):
    """A model registry in three lines, as coroutines: it owns an engine and a store, and each call is a transaction.

    Everything said of `Registry` and its methods holds, but that transfers run in the caller's event loop. A
    transaction is atomic under cancellation: it happens whole or not at all, and `asyncio.CancelledError` is raised
    after it. A transfer that is cancelled leaves what has arrived in the store. Many calls may run at once.

    Args:
        engine: An asynchronous engine of SQLAlchemy's, which stays yours; or a URL such as ``postgresql://…``. Default:
            ``MODEL_SERVICE_DATABASE_URL``, which is an SQLite file in the user's data directory. ``sqlite://`` is a
            database in memory.
        storage: Where files are kept. Default: the hub's store, or the one that ``STORAGE_SERVICE_ROOT`` names.
        hub: What it fetches with. Default: one of its own.
        namespace: Sees and touches no other.
        actor: Who is at work, for the history: such as the name of a user or a job.
        config: Default: read from ``MODEL_SERVICE_…``.

    Raises:
        InvalidInputException: `engine` is an `Engine`, a session or something else; or another argument is of a wrong
            kind.
        MissingDependencyException: greenlet or the driver is not installed: ``pip install 'kamiwaza-sdk[async]'``.
        ConfigurationException: A setting is unknown, its value cannot be used, or no driver takes the URL.
        DatabaseUnsupportedException: The database is neither SQLite nor PostgreSQL.
        DatabaseException: By every method: the database could not do it.
        OpenTransactionException: By every method: it was called in a block of `Registry.transaction`.
        RegistryUnavailableException: By every method: the registry is closed.

    Example:
        >>> async def main():
        ...     async with AsyncRegistry("sqlite://") as registry:
        ...         version = await registry.pull(directory, name="tiny", alias="production")
        ...         return await registry.materialize("tiny@production")
        >>> asyncio.run(main()).name == registry.fetch(directory).digest
        True
    """
'''
TARGETS: Final = (
    Target(
        source="ModelService",
        files=tuple(
            f"services/model/{name}"
            for name in (
                "methods/models.py",
                "methods/versions.py",
                "methods/labels.py",
                "methods/retention.py",
                "services.py",
            )
        ),
        generated=PACKAGE / "services/model/async_services.py",
        subject="models",
        text=_MODEL_CLASS,
        imports=frozenset(
            {
                "import asyncio",
                "from collections.abc import AsyncIterator",
                "from typing import TYPE_CHECKING",
                "from kamiwaza_sdk.services.model.async_calls import AsyncCalls",
                "from kamiwaza_sdk.services.model.services import ModelService",
            }
        ),
        notes={
            "create_models": ". Each batch is a call of its own: a cancellation leaves those before it.",
            "iter_models": ", for ``async for``.",
        },
    ),
    Target(
        source="Registry",
        files=("registry/registry.py",),
        generated=PACKAGE / "registry/async_registry.py",
        subject="registry",
        text=_REGISTRY_CLASS,
        imports=frozenset(
            {
                "from typing import TYPE_CHECKING",
                "from kamiwaza_sdk.registry import operations",
                "from kamiwaza_sdk.registry.calls import AsyncCalls",
            }
        ),
    ),
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Text:
    """The text of a node, whose parts can be replaced. Lines are counted from 1, columns in characters."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines(keepends=True)
        self._edits = list[tuple[int, int, str]]()

    def position(self, line: int, column: int) -> int:
        """Return how many characters come before a place that `ast` names in bytes of UTF-8."""
        return sum(map(len, self._lines[: line - 1])) + len(self._lines[line - 1].encode()[:column].decode())

    def start(self, node: ast.expr | ast.stmt) -> int:
        """Return where a node begins."""
        return self.position(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt) -> int:
        """Return where a node ends."""
        return self.position(node.end_lineno or 0, node.end_col_offset or 0)

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace a part, once `part` is asked for."""
        self._edits.append((start, end, text))

    def part(self, start: int, end: int) -> str:
        """Return a part with its replacements."""
        text = "".join(self._lines)
        for first, last, new in sorted(self._edits, reverse=True):
            if start <= first and last <= end:
                text = text[:first] + new + text[last:]
                end += len(new) - (last - first)
        return text[start:end]


def public_methods(tree: ast.Module) -> Iterator[Function]:
    """Yield the public methods of a module's classes, without properties."""
    for kind in tree.body:
        if isinstance(kind, ast.ClassDef):
            for method in kind.body:
                if isinstance(method, Function) and not method.name.startswith("_") and not method.decorator_list:
                    yield method


def attribute_path(node: ast.expr) -> str:
    """Return a dotted name; empty where a node is something else."""
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def example(source: str, subject: str) -> str:
    """Return an example, awaited."""
    source = re.sub(r"asyncio\.run\((.*)\)", r"\1", source)
    source = source.replace("for model in models.iter_models(", "async for model in models.iter_models(")
    text, tree = Text(source), ast.parse(source)
    of_results = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(rf"{subject}\.(?!iter_)\w+", attribute_path(node.func)):
            opening, closing = ("(await ", ")") if node in of_results else ("await ", "")
            text.replace(text.start(node), text.start(node), opening)
            text.replace(text.end(node), text.end(node), closing)
    return text.part(0, len(source))


def docstring(method: Function, target: Target) -> str:
    """Return the docstring of the coroutine: where to read on, and the example."""
    lines = [f'"""As `{target.source}.{method.name}`{target.notes.get(method.name, ".")}']
    lines += ["", "Example:"]
    for part in doctest.DocTestParser().get_examples(ast.get_docstring(method) or ""):
        first, *more = example(part.source, target.subject).splitlines()
        lines += [f"    >>> {first}", *(f"    ... {line}" for line in more)]
        lines += [f"    {line}" for line in part.want.splitlines()]
    return "\n".join(f"        {line}".rstrip() for line in [*lines, '"""']) + "\n"


def hands_on(method: Function) -> bool:
    """Tell whether a method does no more than to call the registry."""
    match method.body[1:]:
        case [ast.Return(value=ast.Call(args=[scope, *_]))] | [ast.Expr(value=ast.Call(args=[scope, *_]))]:
            return attribute_path(scope) == "self._scope"
    return False


def call_of(method: Function) -> str:
    """Return the call of the synchronous method with the arguments of the coroutine."""
    positional = [argument.arg for argument in method.args.args[1:]]
    named = [f"{argument.arg}={argument.arg}" for argument in method.args.kwonlyargs]
    return f"return await self._call({', '.join([f'ModelService.{method.name}', *positional, *named])})\n"


def translate(text: Text, method: Function) -> None:
    """Have a body await what is a coroutine here."""
    for node in ast.walk(method):
        if isinstance(node, ast.YieldFrom):
            text.replace(text.start(node), text.start(node.value), "for item in ")
            text.replace(text.end(node.value), text.end(node.value), ":\n                yield item")
        if not isinstance(node, ast.Call):
            continue
        name = attribute_path(node.func)
        if name == "self._transfers.examine":
            text.replace(text.start(node), text.end(node.func) + 1, f"await self._in_thread({name}, ")
        elif name == "self._run":
            text.replace(text.start(node), text.start(node), "await ")
        elif private := re.fullmatch(r"self\.(_\w+)", name):
            function = f"await self._call(ModelService.{private[1]}, "
            text.replace(text.start(node), text.end(node.func) + 1, function)
        elif re.fullmatch(r"self\.\w+", name):
            text.replace(text.start(node), text.start(node), "await ")


def coroutine(source: str, method: Function, target: Target) -> str:
    """Return a method as a coroutine."""
    text = Text(source)
    first, body = method.body[0], method.body[1]
    signature = text.part(text.start(method), text.start(first)).rstrip() + "\n"
    signature = signature if isinstance(method, ast.AsyncFunctionDef) else f"async {signature}"
    signature = signature.replace("-> Iterator[", "-> AsyncIterator[")
    if hands_on(method):
        translated = call_of(method)
    else:
        translate(text, method)
        translated = text.part(text.start(body), text.end(method.body[-1])) + "\n"
    return f"    {signature}{docstring(method, target)}        {translated}"


def imports(trees: list[ast.Module], names: set[str], own: frozenset[str]) -> str:
    """Return the imports of the sources that the coroutines need, too."""
    statements = [statement for tree in trees for statement in tree.body]
    always = own.union(*(used_imports(statement, names) for statement in statements))
    guarded = [inner for statement in statements if isinstance(statement, ast.If) for inner in statement.body]
    for_types = set[str]().union(*(used_imports(statement, names) for statement in guarded)) - always
    block = "".join(f"    {line}\n" for line in sorted(for_types))
    return "\n".join(sorted(always)) + f"\nif TYPE_CHECKING:\n{block}\n\n"


def used_imports(statement: ast.stmt, names: set[str]) -> set[str]:
    """Return a line for each of these names that a statement imports."""
    if isinstance(statement, ast.Import):
        return {f"import {alias.name}" for alias in statement.names if alias.name in names}
    if not isinstance(statement, ast.ImportFrom):
        return set()
    return {f"from {statement.module} import {alias.name}" for alias in statement.names if alias.name in names}


def names_in(source: str) -> set[str]:
    """Return the names that code uses, those in annotations that are texts too, but not those of docstrings."""
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    annotations = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.arg)]
    annotations += [node.returns for node in ast.walk(tree) if isinstance(node, Function)]
    texts = [node.value for node in annotations if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return names.union(*(re.findall(r"\w+", text) for text in texts)) - arguments


def ruff(*arguments: str, source: str, target: Target) -> str:
    """Return what Ruff makes of a source."""
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(target.generated), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def generate(target: Target) -> str:
    """Return the module."""
    sources = [(PACKAGE / name).read_text() for name in target.files]
    trees = [ast.parse(source) for source in sources]
    methods = [
        coroutine(source, method, target)
        for source, tree in zip(sources, trees, strict=True)
        for method in public_methods(tree)
    ]
    body = target.text + "\n" + "\n".join(methods)
    module = target.head + imports(trees, names_in(body), target.imports) + body
    checked = ruff("check", "--fix", "--exit-zero", "--select", "I", source=module, target=target)
    return ruff("format", source=checked, target=target)


def main() -> None:
    """Write the modules, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    check = parser.parse_args().check
    for target in TARGETS:
        module = generate(target)
        if not check:
            target.generated.write_text(module)
        elif target.generated.read_text() != module:
            sys.exit(f"{target.generated.name} is not what {target.source} is now; run: python -m tests.generate_async")


if __name__ == "__main__":
    main()
