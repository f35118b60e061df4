"""Names for annotations: the choices, callbacks and protocols of arguments. No program needs them to run."""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
