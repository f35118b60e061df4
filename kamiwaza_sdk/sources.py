"""What the author of a source needs: the protocols, what a source is given, and what it returns."""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
