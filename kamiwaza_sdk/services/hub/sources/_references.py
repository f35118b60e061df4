"""References such as ``hf://org/repo@revision``."""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException

__all__ = ["HuggingFaceReference"]

_KINDS: Final = frozenset({"models", "datasets", "spaces"})
_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,96}")
#: What git allows in a name (git-check-ref-format), as far as it matters here: it is quoted whole in a URL.
_REVISION: Final = re.compile(r"(?!.*\.\.)[^\s\x00-\x20\x7f~^:?*\[\\#]{1,255}")
_NAME_AND_REPOSITORY: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class HuggingFaceReference:
    """A repository at a revision.

    Attributes:
        kind: ``models``, ``datasets`` or ``spaces``, as the API says.
        name: ``org/repo``; what is from the hub's early days has no organisation.
        revision: A branch, a tag or a commit.
    """

    kind: str
    name: str
    revision: str

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Return what ``hf://[datasets/|spaces/]org/repo[@revision]`` names.

        Raises:
            InvalidSourceException: It is written differently.
        """
        repository, at, revision = reference.removeprefix("hf://").partition("@")
        kind, _, rest = repository.partition("/")
        name = rest if kind in _KINDS else repository
        if re.search("[?#]", repository):
            raise _refusal(redacted(reference), "has a query or a fragment, and a revision stands behind '@'")
        segments = name.split("/")
        if not all(map(_SEGMENT.fullmatch, segments)):
            raise _refusal(redacted(reference), "names no repository")
        if len(segments) not in _NAME_AND_REPOSITORY:
            raise _refusal(redacted(reference), "has more than an organisation and a name; choose files with allow=")
        if at and not _REVISION.fullmatch(revision):
            # An organisation and a name before the '@' are no user information, and can be shown.
            shown = f"hf://{repository}@" if "/" in name else redacted(reference)
            raise _refusal(shown, "names no revision after its '@'")
        return cls(kind if kind in _KINDS else "models", name, revision or "main")

    def at(self, commit: str) -> Self:
        """Return the same repository at a commit."""
        return replace(self, revision=commit)

    def named(self, name: str) -> Self:
        """Return a repository of another name, checked as `parse` does, at the same revision."""
        kind = "" if self.kind == "models" else f"{self.kind}/"
        return self.parse(f"hf://{kind}{name}@{self.revision}")

    @property
    def repository(self) -> str:
        """Its path at the hub, where models have no prefix."""
        return self.name if self.kind == "models" else f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


def _refusal(shown: str, problem: str) -> InvalidSourceException:
    return InvalidSourceException(shown, f"{problem}; write hf://org/repo or hf://org/repo@revision")
