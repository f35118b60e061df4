"""How the documentation is built: ``sphinx-build -n -W -b html docs docs/_build/html``. It needs no network."""

import inspect
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final, get_origin, get_type_hints

from docutils import nodes
from pydantic import BaseModel
from pydantic_settings import BaseSettings
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

sys.path.insert(0, str(Path(__file__).parent))

from diagrams import draw_house, draw_sequence

from kamiwaza_sdk import Download, ModelEventSchema, ModelSchema, ModelVersionSchema, Page
from kamiwaza_sdk._names import PUBLIC
from kamiwaza_sdk._validation import InputSchema
from kamiwaza_sdk.orm import DBBase

project = "kamiwaza_sdk"
version = release = installed_version("kamiwaza-sdk")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "  # what is shown before code, and not copied
copybutton_prompt_is_regexp = True
exclude_patterns = ["_build"]
nitpicky = True
#: Protocols that say no more than the text beside them, a type variable, rows of tables, and matplotlib's figure.
nitpick_ignore = {
    ("py:class", "Figure"),
    ("py:class", "kamiwaza_sdk.formats.schemas.files.StoredTensor"),
    ("py:class", "kamiwaza_sdk.services.hub.sources.versions.FileFromSomewhere"),
    ("py:class", "kamiwaza_sdk.services.model.schemas.model._Item"),
    ("py:class", "Reader"),  # a file open for bytes: what it needs to have is said where it is taken
    ("py:class", "Writer"),
}

html_theme = "furo"
html_favicon = "favicon.svg"
html_title = f"kamiwaza_sdk {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 3

# In docstrings a single backtick refers to something of ours; two quote code.
default_role = "py:obj"
autodoc_default_options = {"members": True, "exclude-members": "model_config, metadata, registry"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # `type_attributes` does it, without Pydantic's machinery
add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 170  # names count with their modules
python_trailing_comma_in_multi_line_signatures = False
python_use_unqualified_type_names = True

# Pydantic makes a class for each kind of page, of the module that asks first. Here all are what `Page` is.
for _item in (ModelSchema, ModelVersionSchema, ModelEventSchema):
    Page[_item].__module__ = Page.__module__

_LIBRARY: Final = "https://docs.python.org/3/library/"
_SQLALCHEMY: Final = "https://docs.sqlalchemy.org/en/20/"
_PYDANTIC: Final = "https://docs.pydantic.dev/latest/api/types/"
#: Where names that are not ours are documented. A table, because a name that is missing here was most often misspelt.
_ELSEWHERE: Final = {
    "AsyncEngine": f"{_SQLALCHEMY}orm/extensions/asyncio.html#sqlalchemy.ext.asyncio.AsyncEngine",
    "AsyncSession": f"{_SQLALCHEMY}orm/extensions/asyncio.html#sqlalchemy.ext.asyncio.AsyncSession",
    "Engine": f"{_SQLALCHEMY}core/connections.html#sqlalchemy.engine.Engine",
    "Executor": f"{_LIBRARY}concurrent.futures.html#concurrent.futures.Executor",
    "False": f"{_LIBRARY}constants.html#False",
    "MetaData": f"{_SQLALCHEMY}core/metadata.html#sqlalchemy.schema.MetaData",
    "OSError": f"{_LIBRARY}exceptions.html#OSError",
    "True": f"{_LIBRARY}constants.html#True",
    "URL": f"{_SQLALCHEMY}core/engines.html#sqlalchemy.engine.URL",
    "aiohttp.ClientSession": "https://docs.aiohttp.org/en/stable/client_reference.html#aiohttp.ClientSession",
    "builtins.list": f"{_LIBRARY}stdtypes.html#list",
    "asyncio.CancelledError": f"{_LIBRARY}asyncio-exceptions.html#asyncio.CancelledError",
    "asyncio.run": f"{_LIBRARY}asyncio-runner.html#asyncio.run",
    "asyncio.timeout": f"{_LIBRARY}asyncio-task.html#asyncio.timeout",
    "asyncio.to_thread": f"{_LIBRARY}asyncio-task.html#asyncio.to_thread",
    "collections.abc.Awaitable": f"{_LIBRARY}collections.abc.html#collections.abc.Awaitable",
    "pydantic.types.JsonValue": f"{_PYDANTIC}#pydantic.types.JsonValue",
    "pydantic.types.SecretStr": f"{_PYDANTIC}#pydantic.types.SecretStr",
    "sqlalchemy.engine.base.Connection": f"{_SQLALCHEMY}core/connections.html#sqlalchemy.engine.Connection",
    "sqlalchemy.engine.base.Engine": f"{_SQLALCHEMY}core/connections.html#sqlalchemy.engine.Engine",
    "sqlalchemy.engine.url.URL": f"{_SQLALCHEMY}core/engines.html#sqlalchemy.engine.URL",
    "sqlalchemy.orm.decl_api.DeclarativeBase": f"{_SQLALCHEMY}orm/mapping_api.html#sqlalchemy.orm.DeclarativeBase",
    "sqlalchemy.orm.session.Session": f"{_SQLALCHEMY}orm/session_api.html#sqlalchemy.orm.Session",
    **{
        name: f"{_LIBRARY}{name.rpartition('.')[0]}.html#{name}"
        for name in (
            "collections.abc.AsyncIterator",
            "collections.abc.Callable",
            "collections.abc.Coroutine",
            "collections.abc.Iterable",
            "collections.abc.Iterator",
            "collections.abc.Mapping",
            "collections.abc.Sequence",
            "contextlib.AbstractContextManager",
            "datetime.datetime",
            "datetime.timedelta",
            "os.PathLike",
            "pathlib.Path",
            "pickle",
            "ssl.SSLContext",
            "uuid.UUID",
        )
    },
}


def setup(app: Sphinx) -> None:
    """Connect what follows."""
    app.add_directive("house", House)
    app.add_directive("sequence", Sequence)
    app.connect("missing-reference", link_elsewhere)
    app.connect("doctree-read", mark_bytes)
    app.connect("autodoc-process-signature", simplify_signature)
    app.connect("autodoc-process-docstring", quote_parameters)
    app.connect("autodoc-process-docstring", type_attributes, priority=600)  # napoleon has found them by then


class Sequence(SphinxDirective):
    """A sequence diagram; where a page is not HTML, the text that it is drawn from."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    draw = staticmethod(draw_sequence)

    def run(self) -> list[nodes.Node]:
        """Draw it."""
        source = "\n".join(self.content)
        try:
            picture = self.draw(source, title=self.arguments[0])
        except ValueError as error:
            raise self.error(str(error)) from error
        if self.env.app.builder.format != "html":
            return [nodes.literal_block(source, source)]
        return [nodes.raw("", picture, format="html")]


class House(Sequence):
    """Boxes in rows, with arrows between them."""

    draw = staticmethod(draw_house)


def mark_bytes(_app: Sphinx, doctree: nodes.document) -> None:
    """Look for no attribute where `bytes` is meant: for a class Sphinx would, and find those of that name."""
    for node in doctree.findall(pending_xref):
        if node.get("reftarget") == "bytes":
            node["reftype"] = "exc"  # which it looks for among classes alone


def link_elsewhere(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Link a public name of another of our modules, and a name that is not ours to its own documentation."""
    target = node.get("reftarget", "")
    home = next((home for home, names in PUBLIC.items() if target.partition(".")[0] in names), None)
    if home is not None:
        domain = env.get_domain("py")
        found = domain.resolve_any_xref(env, node["refdoc"], app.builder, f"{home}.{target}", node, content)
        return found[0][1] if found else None
    url = _ELSEWHERE.get(target)
    return None if url is None else nodes.reference("", "", content, refuri=url, internal=False)


def simplify_signature(
    _app: Sphinx, what: str, _name: str, obj: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show how a schema is constructed where callers construct it; errors and what is returned, they only read."""
    if signature is None:
        return None, None
    if what == "exception" or (
        inspect.isclass(obj) and (issubclass(obj, DBBase | Download) or getattr(obj, "_is_protocol", False))
    ):
        return "", None
    if not (inspect.isclass(obj) and issubclass(obj, BaseModel)):
        return signature, returns
    if not issubclass(obj, InputSchema | BaseSettings):
        return "", None
    return stringify_signature(_constructor(obj), unqualified_typehints=True), None


def _constructor(model: type[BaseModel]) -> inspect.Signature:
    types = get_type_hints(model)  # without what Pydantic keeps in `Annotated`
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[name])
            for name, field in model.model_fields.items()
            for default in [
                inspect.Parameter.empty if field.is_required() else _Default(field.default_factory, field.default)
            ]
        ]
    )


class _Default:
    """A default as it is shown."""

    def __init__(self, factory: Callable[..., object] | None, value: object) -> None:
        self._shown = (
            repr(value) if factory is None else "{}" if (get_origin(factory) or factory) is dict else "..."
        )  # which Sphinx can parse

    def __repr__(self) -> str:
        return self._shown


def quote_parameters(_app: Sphinx, what: str, _name: str, obj: Any, _options: object, lines: list[str]) -> None:
    """Quote the names of a function's own parameters, which are nothing to refer to."""
    try:
        parameters = inspect.signature(obj).parameters
    except (TypeError, ValueError):
        return
    if what in {"class", "exception"} and issubclass(obj, BaseModel):
        return  # its fields are attributes, which can be referred to
    for index, line in enumerate(lines):
        lines[index] = re.sub(
            r"(?<!`)`(\w+)`(?!`)", lambda match: f"``{match[1]}``" if match[1] in parameters else match[0], line
        )


@cache
def _public_names() -> dict[str, Any]:  # Any: of every kind
    """Return what annotations may name that modules import for type checkers only."""
    return {name: getattr(import_module(home), name) for home, names in PUBLIC.items() for name in names}


def type_attributes(_app: Sphinx, what: str, _name: str, obj: Any, _options: object, lines: list[str]) -> None:
    """Give what an ``Attributes:`` section lists its types: an error's are those that it is constructed with."""
    if what not in {"class", "exception"} or not any(line.startswith(".. attribute::") for line in lines):
        return
    types = get_type_hints(obj) | (get_type_hints(obj.__init__, localns=_public_names()) if what == "exception" else {})
    for index, line in reversed(list(enumerate(lines))):
        name = line.removeprefix(".. attribute:: ")
        if name != line and name in types:
            shown = stringify_annotation(types[name], "smart")
            lines.insert(index + 1, f"   :type: {shown.replace('pydantic.types.AwareDatetime', 'datetime.datetime')}")
