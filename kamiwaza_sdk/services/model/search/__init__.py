"""All SQL of the registry: Core statements, built once. Every one names the namespace.

What is read keeps the form in which the driver delivers it, and Pydantic turns it into the types of the schemas: a
column type of SQLAlchemy's would do the same work before, value by value, in Python. What belongs to a row, such as its
tags, comes as JSON in a column of it, so that a listing is one statement, whatever its length.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.search import listings as listings


def __getattr__(name: str) -> ModuleType:
    if name != "listings":  # which most programs need later, or never
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
