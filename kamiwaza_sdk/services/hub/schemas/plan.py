"""Plans: what would be fetched from a source."""

from typing import TYPE_CHECKING

from pydantic import Field

from kamiwaza_sdk._display import Table, as_text, shown_size
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
        size: In bytes; `None` if it is known only after the transfer.
        kept: Whether its bytes are on this machine already.
        same_as: The path of another file in the plan with the same bytes, known by the digest or as another name of the
            same file on this machine. The bytes are transferred and counted once.
        format: For a file of weights: ``safetensors``, ``gguf``, ``onnx``, ``pickle``, from its bytes if they could be
            read, else from its name.
        dtype: The type of most of its parameters, if its header was read.
        verdict: For a pickle that was analysed, whether loading it can do harm.
        problem: Why its content is not known although it should be; `None` if it is known, or if there is nothing to
            know.

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
    """A variant of a source, with the memory that it needs.

    Attributes:
        memory: With its companions and the cache of the wanted context; `None` if its size is not known.
        checked: Whether its files were read (of several shards the first one), so that its format is certain. Otherwise
            only the names suggest a variant.

    Example:
        >>> PlanVariantSchema(name="Q8_0", format="gguf", files=("model-Q8_0.gguf",), size=8_540_770_656).name
        'Q8_0'
    """

    memory: MemoryEstimateSchema | None = None
    checked: bool = False


class PlanSchema(InputSchema):
    """What would be fetched from a source, as `HubService.plan` found it. `fetch` takes it, and fetches exactly this.

    `str` returns a table, and notebooks show one. It can be sent as JSON, with the addresses of its files: if these are
    signed, keep it secret.

    Attributes:
        manifest: The files, their addresses, and the digests that they must have.
        files: The same files, with what is known about them.
        details: The facts that the files tell about the model: of the choice, or else of the default variant.
        variants: The variants of the source, the largest first.
        choice: The name of the chosen variant; `None` if none was to be chosen, so that all files are fetched.
        companions: Files that are loaded with the choice, or else with the default variant, such as a projector.
        reason: Why it was chosen.
        memory: What the choice needs, or else the default variant, with its companions and the cache of the wanted
            context; `None` if there is neither.
        violations: What violates the policy.
        faults: Files that are not what their names say, as far as their first bytes were read.

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
        """The source, pinned to a revision if possible."""
        return self.manifest.source

    @property
    def revision(self) -> str | None:
        """The revision that pins it, such as a commit."""
        return self.manifest.revision

    @property
    def layout(self) -> LayoutSchema:
        """The variants of the source, and which of them loaders choose by default."""
        return self.details.layout

    @property
    def left_out(self) -> tuple[LeftOutSchema, ...]:
        """Files of the source that are not a part of the model, each with the reason."""
        return self.manifest.left_out

    @property
    def license(self) -> str | None:
        """The licence, from the hub and the files; if they differ, all of them, joined by AND."""
        return all_of(filter(None, (self.manifest.license, self.details.license)))

    @property
    def formats(self) -> tuple[str, ...]:
        """Of the files of weights, sorted."""
        return tuple(sorted({file.format for file in self.files if file.format is not None}))

    @property
    def parameters_by_dtype(self) -> "Mapping[str, int]":
        """The number of parameters of each type; empty if not all headers could be read."""
        return self.details.parameters_by_dtype

    @property
    def context_length(self) -> int | None:
        """The length of the context that the model was trained for, in tokens."""
        return self.details.context_length

    @property
    def size(self) -> int | None:
        """Bytes, all files together; `None` where one is not known."""
        return self.manifest.size

    @property
    def bytes_to_fetch(self) -> int | None:
        """The most bytes that would be transferred, each content once; `None` if one size is not known."""
        sizes = [file.size for file in self.files if not file.kept and file.same_as is None]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def bytes_kept(self) -> int:
        """The bytes that are on this machine already, each content counted once."""
        return sum(file.size or 0 for file in self.files if file.kept and file.same_as is None)

    def __str__(self) -> str:
        return as_text(self._tables())

    def _tables(self) -> "Iterable[Table]":
        from kamiwaza_sdk.services.hub.render import tables_of

        return tables_of(self)
