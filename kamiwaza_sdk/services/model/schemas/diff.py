"""What is different between two versions, as output."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_core import to_json

from kamiwaza_sdk._display import Displayed, Table, counted, first_rows

#: What became of something between two versions.
ChangeKind = Literal["added", "removed", "changed"]
_MARKS: dict[ChangeKind, str] = {"added": "+", "removed": "-", "changed": "~"}
#: How long a value may be in a text.
_WIDEST = 60


class ChangeSchema(Displayed, BaseModel):
    """A value that is different.

    Attributes:
        key: Of what: a tag, a fact, a key of a configuration, with dots between the keys of objects within objects.
        kind: Whether it was added, removed or changed.
        before: The value that it had; `None` where it had none.
        after: The value that it has; `None` where it has none.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    key: str
    kind: ChangeKind
    before: JsonValue
    after: JsonValue

    @property
    def values(self) -> tuple[str, str]:
        """The values before and after as short texts, empty where there was none."""
        before = "" if self.kind == "added" else _shown(self.before)
        return before, "" if self.kind == "removed" else _shown(self.after)

    def __str__(self) -> str:
        before, after = self.values
        words = {"added": f"{after}, new", "removed": f"{before}, removed", "changed": f"{before} → {after}"}
        return f"{self.key}: {words[self.kind]}"


class FileChangeSchema(Displayed, BaseModel):
    """A file that is different.

    Attributes:
        path: Relative to the model's root.
        kind: Whether it was added, removed or changed.
        size_before: In bytes; `None` where it was not there.
        size_after: In bytes; `None` where it is not there.
        sha256_before: Of its bytes; `None` where it was not there.
        sha256_after: Of its bytes; `None` where it is not there.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    path: str
    kind: ChangeKind
    size_before: int | None
    size_after: int | None
    sha256_before: str | None
    sha256_after: str | None

    @property
    def same_size(self) -> bool:
        """Whether other bytes have the same size, which a listing of sizes would not show."""
        return self.size_before == self.size_after

    @property
    def sizes(self) -> str:
        """What became of its size, in words."""
        if self.kind == "changed":
            sizes = f"{self.size_before:,} → {self.size_after:,} bytes"
            return f"other bytes, of the same size, {self.size_after:,}" if self.same_size else sizes
        return f"{self.size_after if self.kind == 'added' else self.size_before:,} bytes, {self.kind}"

    def __str__(self) -> str:
        return f"{_MARKS[self.kind]} {self.path}: {self.sizes}"


class VersionDiffSchema(Displayed, BaseModel):
    r"""What is different between two versions. As a text, it has a line for each difference.

    Attributes:
        before: The one, as ``name:number``.
        after: The other.
        files: Files that only one has, or that have other bytes, sorted by path.
        same_files: How many files are the same in both.
        config: Keys of JSON configurations (``config.json`` and others whose names end so) that both have, by path.
        config_problems: Why a configuration or the tensors of a file could not be compared, by path.
        tensors: Tensors of safetensors and GGUF files that only one has, or that have another type or shape, as
            ``F32 4 x 8``. Empty where one of these files is not kept.
        parameters: How many parameters they have, where that is different.
        license: The licence of their models, where that is different.
        facts: What is different of format, architecture, quantization, context length and the other details.
        tags: Tags of the versions that are different.
        attributes: Notes of users that are different.

    Example:
        >>> diff = VersionDiffSchema(before="tiny:1", after="tiny:2", same_files=3)
        >>> diff.identical, str(diff)
        (True, 'tiny:1 → tiny:2\nno difference; 3 files are the same')
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    before: str
    after: str
    files: tuple[FileChangeSchema, ...] = ()
    same_files: int = 0
    config: dict[str, tuple[ChangeSchema, ...]] = {}
    config_problems: dict[str, str] = {}
    tensors: tuple[ChangeSchema, ...] = ()
    parameters: ChangeSchema | None = None
    license: ChangeSchema | None = None
    facts: tuple[ChangeSchema, ...] = ()
    tags: tuple[ChangeSchema, ...] = ()
    attributes: tuple[ChangeSchema, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether nothing is different."""
        return not (self.files or self.parameters or self.license or self.facts or self.tags or self.attributes)

    def _summary(self) -> dict[str, object]:
        return {
            "": f"{self.before} → {self.after}",
            "files": len(self.files),
            "same_files": self.same_files,
            "config": sum(map(len, self.config.values())) or None,
            "facts": len(self.facts) or None,
            "tensors": len(self.tensors) or None,
            "tags": len(self.tags) or None,
            "attributes": len(self.attributes) or None,
        }

    def _tables(self) -> Iterable[Table]:
        same = self._same()
        yield Table((), (), f"{self._subject()}: {f'no difference; {same}' if self.identical else same}")
        files = [(one.path, one.kind, one.sizes) for one in self.files]
        yield Table(("file", "", "size"), first_rows(files, len(files)))
        facts = (*filter(None, (self.license, self.parameters)), *self.facts)
        for title, changes in {
            **self.config,
            "fact": facts,
            "tensor": self.tensors,
            "tag": self.tags,
            "attribute": self.attributes,
        }.items():
            rows = [(one.key, one.kind, *one.values) for one in changes]
            yield Table((title, "", "before", "after"), first_rows(rows, len(rows)))
        yield Table(("file", "is not compared"), first_rows(self.config_problems.items(), len(self.config_problems)))

    def _same(self) -> str:
        return f"{counted(self.same_files, 'file')} {'is' if self.same_files == 1 else 'are'} the same"

    def __str__(self) -> str:
        same = self._same()
        if self.identical:
            return f"{self.before} → {self.after}\nno difference; {same}"
        sections = {
            f"files ({same})": self.files,
            **{path: changes for path, changes in self.config.items() if changes},
            **{path: (problem,) for path, problem in self.config_problems.items()},
            "facts": (*filter(None, (self.license, self.parameters)), *self.facts),
            "tensors": self.tensors,
            "tags": self.tags,
            "attributes": self.attributes,
        }
        lines = [f"{self.before} → {self.after}"]
        for title, changes in sections.items():
            lines += [title, *(f"  {change}" for change in changes)] if changes else []
        return "\n".join(lines)


def _shown(value: JsonValue) -> str:
    """Return a value as short JSON, without what would steer a terminal."""
    text = value if isinstance(value, str) else to_json(value).decode()
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
