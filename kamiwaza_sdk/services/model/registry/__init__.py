"""What `ModelService` does, as functions over a `Scope`, one module for each thing the registry holds.

A module is loaded when it is first asked for, and with the first the tables: a program that only imports `ModelService`
does not wait for them, and few programs need all modules.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.registry import (
        aliases as aliases,
    )
    from kamiwaza_sdk.services.model.registry import (
        bulk as bulk,
    )
    from kamiwaza_sdk.services.model.registry import (
        changes as changes,
    )
    from kamiwaza_sdk.services.model.registry import (
        configs as configs,
    )
    from kamiwaza_sdk.services.model.registry import (
        documents as documents,
    )
    from kamiwaza_sdk.services.model.registry import (
        exports as exports,
    )
    from kamiwaza_sdk.services.model.registry import (
        files as files,
    )
    from kamiwaza_sdk.services.model.registry import (
        imports as imports,
    )
    from kamiwaza_sdk.services.model.registry import (
        lineage as lineage,
    )
    from kamiwaza_sdk.services.model.registry import (
        models as models,
    )
    from kamiwaza_sdk.services.model.registry import (
        references as references,
    )
    from kamiwaza_sdk.services.model.registry import (
        retention as retention,
    )
    from kamiwaza_sdk.services.model.registry import (
        tables as tables,
    )
    from kamiwaza_sdk.services.model.registry import (
        tags as tags,
    )
    from kamiwaza_sdk.services.model.registry import (
        versions as versions,
    )

_MODULES: Final = frozenset(
    {
        "aliases",
        "bulk",
        "changes",
        "configs",
        "documents",
        "exports",
        "files",
        "imports",
        "lineage",
        "models",
        "references",
        "retention",
        "tables",
        "tags",
        "versions",
    }
)


def load() -> None:
    """Load all modules, for who calls them on an event loop. Reads files."""
    for name in (*(f"{__name__}.{name}" for name in sorted(_MODULES)), "kamiwaza_sdk.services.model.search.listings"):
        importlib.import_module(name)


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
