"""A model registry and verified model store that a program gets by importing it.

In the program's own database, inside its own transaction, with no server and no web layer. What most programs need is
importable from here; tables from `kamiwaza_sdk.orm`, what files say about themselves from `kamiwaza_sdk.formats`, what
authors of sources need from `kamiwaza_sdk.sources`, names for annotations from `kamiwaza_sdk.types`. Everything is
loaded when first used: importing the package reads and opens nothing.
"""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
