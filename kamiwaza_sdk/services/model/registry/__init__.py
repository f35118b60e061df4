"""What `ModelService` does, as functions over a `Scope`, one module for each thing the registry holds.

A module is loaded when it is first asked for, and with the first the tables: a program that only imports `ModelService`
does not wait for them, and few programs need all modules. `load` loads them all.
"""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

from kamiwaza_sdk._names import attach_modules

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.registry import (
        aliases,
        bulk,
        configs,
        exports,
        imports,
        lineage,
        models,
        references,
        retention,
        tags,
        versions,
    )

__all__ = [
    "aliases",
    "bulk",
    "configs",
    "exports",
    "imports",
    "lineage",
    "models",
    "references",
    "retention",
    "tags",
    "versions",
]
load: Callable[[], None]
__getattr__: Callable[[str], ModuleType]
load, __getattr__ = attach_modules(__name__, __all__)
