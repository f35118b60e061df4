"""The tables as SQLAlchemy's classes, for a host that joins its own rows with the registry's."""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
