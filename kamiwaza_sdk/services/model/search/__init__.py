"""All SQL of the registry: Core statements, built once. Every one names the namespace.

What is read keeps the form in which the driver delivers it, and Pydantic turns it into the types of the schemas: a
column type of SQLAlchemy's would do the same work before, value by value, in Python. What belongs to a row, such as its
tags, comes as JSON in a column of it, so that a listing is one statement, whatever its length.
"""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

from kamiwaza_sdk._names import attach_modules

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.search import listings

__all__ = ["listings"]
load: Callable[[], None]
__getattr__: Callable[[str], ModuleType]
load, __getattr__ = attach_modules(__name__, __all__)
