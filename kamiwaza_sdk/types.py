"""Names for annotations: choices, callbacks and protocols of arguments, and parts of results. No program needs them."""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
