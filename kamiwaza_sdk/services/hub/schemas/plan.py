"""What fetching a source would come to."""

from typing import TYPE_CHECKING

from pydantic import Field

from kamiwaza_sdk._display import Displayed, Table, as_text, shown_size
from kamiwaza_sdk._validation import MAX_SIZE, FilePath, InputSchema
from kamiwaza_sdk.formats.licences import all_of
from kamiwaza_sdk.formats.schemas import (
    CompanionSchema,
    LayoutSchema,
    MemoryEstimateSchema,
    PickleVerdict,
    RepositoryDetailsSchema,
    VariantSchema,
)
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema
from kamiwaza_sdk.services.hub.schemas.results import FileFaultSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class PlanFileSchema(InputSchema):
    """A file that would be fetched.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        size: In bytes; `None` where only its transfer can tell.
        kept: Whether its bytes are on this machine already.
        same_as: The path of a file in the plan that has the same bytes, by their digest or as another name of one file
            on this machine, and stands for them: they travel, and count, once.
        format: Of a file of weights: ``safetensors``, ``gguf``, ``onnx``, ``pickle``: as its bytes say where they could
            be looked at, else as its name says.
        dtype: The type that most of its parameters have, where its header was read.
        verdict: Of a pickle, whether loading it could do harm, where it was looked through.
        problem: Why its inside is not known, where it should be; `None` where it is, or there is nothing to know.

    Example:
        >>> PlanFileSchema(path="model.onnx", size=7, kept=False).format is None
        True
    """

    path: FilePath
    size: int | None = Field(default=None, ge=0, le=MAX_SIZE)
    kept: bool
    same_as: FilePath | None = None
    format: str | None = None
    dtype: str | None = None
    verdict: PickleVerdict | None = None
    problem: str | None = None


class PlanVariantSchema(VariantSchema):
    """A variant of a source, with what it takes in memory.

    Attributes:
        memory: With the companions that it needs and the context that was asked for; `None` where its size is not
            known.
        checked: Whether its files, of a set of shards the first, were read, so that its format is what they are. Else
            it is a variant by names alone, and may turn out to be none.

    Example:
        >>> PlanVariantSchema(name="Q8_0", format="gguf", files=("model-Q8_0.gguf",), size=8_540_770_656).name
        'Q8_0'
    """

    memory: MemoryEstimateSchema | None = None
    checked: bool = False


class PlanSchema(Displayed, InputSchema):
    """What fetching a source would come to, as `HubService.plan` found it. `fetch` takes it and brings just this.

    `str` makes a table of it, and notebooks show one. It travels as JSON, with the addresses of its files: where those
    are signed, keep it like a secret.

    Attributes:
        manifest: The files, where they lie, and which digests they must have.
        files: The same files, and what is known of them.
        details: What they say about the model together: of the choice, or else of the default.
        variants: What the source has to choose from, the largest first.
        choice: The name of the one that was chosen; `None` where nothing was to be, so that all files are brought.
        companions: What is loaded with the choice, or else with the default: a projector.
        reason: Why it was chosen.
        memory: What the choice takes, or else the default, with its companions and the context that was asked for;
            `None` where there is neither.
        violations: What the policy has against it.
        faults: Files that are something else than their names promise, as far as their first bytes were read.

    Example:
        >>> hub = HubService(storage=StorageService(StorageConfig(root=directory / "store")))
        >>> plan = asyncio.run(hub.plan(directory / "model.onnx"))
        >>> plan.bytes_to_fetch, plan.bytes_kept, plan.violations
        (0, 7, ())
        >>> PlanSchema.model_validate_json(plan.model_dump_json()) == plan
        True
    """

    manifest: ManifestSchema
    files: tuple[PlanFileSchema, ...]
    details: RepositoryDetailsSchema
    variants: tuple[PlanVariantSchema, ...] = ()
    choice: str | None = None
    companions: tuple[CompanionSchema, ...] = ()
    reason: str | None = None
    memory: MemoryEstimateSchema | None = None
    violations: tuple[ViolationSchema, ...] = ()
    faults: tuple[FileFaultSchema, ...] = ()

    def _summary(self) -> dict[str, object]:
        return {
            "": self.source,
            "files": len(self.files),
            "size": shown_size(self.size),
            "to_fetch": shown_size(self.bytes_to_fetch),
            "choice": self.choice,
            "variants": len(self.variants) or None,
            "violations": len(self.violations) or None,
            "faults": len(self.faults) or None,
        }

    @property
    def source(self) -> str:
        """What would be fetched, pinned where that can be."""
        return self.manifest.source

    @property
    def revision(self) -> str | None:
        """What pins it, such as a commit."""
        return self.manifest.revision

    @property
    def layout(self) -> LayoutSchema:
        """What the source consists of, and which variant loaders take when they are not told."""
        return self.details.layout

    @property
    def left_out(self) -> tuple[LeftOutSchema, ...]:
        """What the source has besides, and is no part of the model, each with the reason."""
        return self.manifest.left_out

    @property
    def license(self) -> str | None:
        """The licence, as the hub and the files say; where they differ, all that they name, joined by AND."""
        return all_of(filter(None, (self.manifest.license, self.details.license)))

    @property
    def formats(self) -> tuple[str, ...]:
        """Of the files of weights, sorted."""
        return tuple(sorted({file.format for file in self.files if file.format is not None}))

    @property
    def parameters_by_dtype(self) -> "Mapping[str, int]":
        """How many parameters of which type; empty where not all headers could be read."""
        return self.details.parameters_by_dtype

    @property
    def context_length(self) -> int | None:
        """The tokens that the model was trained for."""
        return self.details.context_length

    @property
    def size(self) -> int | None:
        """Bytes, all files together; `None` where one is not known."""
        return self.manifest.size

    @property
    def bytes_to_fetch(self) -> int | None:
        """How many of them would travel at most, each content once; `None` where one is not known."""
        sizes = [file.size for file in self.files if not file.kept and file.same_as is None]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def bytes_kept(self) -> int:
        """How many of them are on this machine already, one content under several names counted once."""
        return sum(file.size or 0 for file in self.files if file.kept and file.same_as is None)

    def __str__(self) -> str:
        return as_text(self._tables())

    def _tables(self) -> "Iterable[Table]":
        from kamiwaza_sdk.services.hub.render import tables_of

        return tables_of(self)
