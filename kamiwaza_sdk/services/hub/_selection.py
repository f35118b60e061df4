"""Which files of a source are wanted: by patterns such as ``huggingface_hub`` takes, and by what they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub._left_out import Rule, rules_for
from kamiwaza_sdk.services.hub.addresses import displayed
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema, ManifestFileSchema, ManifestSchema

__all__ = ["EVERYTHING", "Selection", "left_out_as", "patterns"]


def patterns(given: object, *, field: str) -> tuple[str, ...] | None:
    """Return what was given as a pattern or several, or `None`.

    Raises:
        InvalidInputException: It is neither.
    """
    if given is None:
        return None
    several: tuple[object, ...] = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else (*given,)
    texts = tuple(pattern for pattern in several if isinstance(pattern, str))
    if len(texts) != len(several):
        raise InvalidInputException(field, "is no pattern and no list of them; give such as '*.safetensors'")
    return tuple(f"{pattern}*" if pattern.endswith("/") else pattern for pattern in texts)


def left_out_as(path: str, reason: str) -> LeftOutSchema:
    """Return what tells that a file or directory was left out; its name may be no text."""
    return LeftOutSchema(path=displayed(path), reason=reason)


@dataclass(frozen=True, slots=True)
class Selection:
    """The patterns that a caller gave.

    Attributes:
        allow: Of which a file has to match one; `None` where any file is wanted.
        ignore: Of which it may match none.
        in_part: Whether not all of these files need be there, as a variant is chosen of them.
    """

    allow: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    in_part: bool = False

    def wants(self, path: str) -> bool:
        """Whether the patterns leave a file."""
        if self.allow is self.ignore is None:
            return True
        if self.allow is not None and not any(fnmatchcase(path, pattern) for pattern in self.allow):
            return False
        return not any(fnmatchcase(path, pattern) for pattern in self.ignore or ())

    def left_out(self, path: str) -> LeftOutSchema | None:
        """Return why a file is left out that the patterns may leave; `None` where it is not."""
        rules = rules_for(path)
        rule = next((rule for rule in rules if not self._names(path, rule)), None) if rules else None
        return None if rule is None else left_out_as(rule.part(path) or path, rule.reason)

    def closed(self, directory: str) -> LeftOutSchema | None:
        """Return why nothing below a directory can be wanted; `None` where something can."""
        for rule in rules_for(directory):
            if not any(rule.is_named_by(pattern) for pattern in self.allow or ()):
                return left_out_as(rule.part(directory) or directory, rule.reason)
        return None

    def _names(self, path: str, rule: Rule) -> bool:
        return any(rule.is_named_by(pattern) and fnmatchcase(path, pattern) for pattern in self.allow or ())

    def of(self, manifest: ManifestSchema, *, sift: bool) -> ManifestSchema:
        """Return the manifest of the files that are wanted.

        Args:
            manifest: All files.
            sift: Whether it lists whatever there is, so that what no pattern names may be left out. Version control's
                own files are in any case.

        Raises:
            InvalidSourceException: No file is wanted.
        """
        files: list[ManifestFileSchema] = []
        left_out = {one.path: one for one in manifest.left_out}
        for file in manifest.files:
            if not self.wants(file.path):
                continue
            reason = self.left_out(file.path) if sift or _is_never_taken(file.path) else None
            if reason is None:
                files.append(file)
            else:
                left_out.setdefault(reason.path, reason)
        if manifest.files and not files:
            raise self._nothing_left(manifest, [*left_out])
        return manifest.model_copy(update={"files": tuple(files), "left_out": tuple(left_out.values())})

    def _nothing_left(self, manifest: ManifestSchema, left_out: list[str]) -> InvalidSourceException:
        known = ", ".join(ascii(file.path) for file in manifest.files[:5])
        if self.allow is None and self.ignore is None:
            named = ", ".join(map(ascii, left_out[:5]))
            reason = f"has nothing but what is left out unless allow names it: {named}"
        else:
            reason = f"has no file that allow={self.allow} and ignore={self.ignore} leave; it has {known} and so on"
        return InvalidSourceException(manifest.source, reason)


#: Without patterns.
EVERYTHING: Final = Selection()


def _is_never_taken(path: str) -> bool:
    return any(not rule.can_be_named for rule in rules_for(path))
