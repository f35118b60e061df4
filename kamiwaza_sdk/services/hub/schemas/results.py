"""Results of `fetch` and `adopt`, and faults of files."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from kamiwaza_sdk._display import (
    Cell,
    Displayed,
    Listed,
    Table,
    cut_digest,
    facts,
    first_rows,
    listed,
    short_digest,
    shown_size,
)
from kamiwaza_sdk._validation import MAX_SIZE, FilePath, InputSchema, KeptAddress, Sha256, check_layout
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema
from kamiwaza_sdk.services.storage.schemas import AdoptedBy, FileEntry


class FileFaultSchema(InputSchema):
    """A file with the name of weights or of a configuration that is something else.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        kind: What it is: ``git_lfs_pointer``, ``git_annex_pointer``, ``magnet_link``, ``html_page``, ``error_answer``
            (in JSON or XML), ``image``, ``document``, ``text``, ``empty``, ``empty_archive``, ``zeros``, or
            ``wrong_magic_number``.
        reason: An explanation for people, with the way out; it begins with "is".

    Example:
        >>> fault = FileFaultSchema(path="model.safetensors", kind="html_page", reason="is an HTML page")
        >>> str(fault)
        'model.safetensors is an HTML page'
    """

    path: FilePath
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


#: How many characters of a model card are kept.
MAX_CARD_LENGTH: Final = 100_000
#: How long the description that is taken from it is.
MAX_DESCRIPTION_LENGTH: Final = 500


def manifest_digest(files: Iterable[FileEntry]) -> str:
    r"""Return the digest that identifies a set of files, independent of their order and place.

    It is the SHA-256 of one line for each file, ``<sha256> <size> <path>\n`` in UTF-8, the lines sorted by path as
    bytes.

    Args:
        files: Objects with ``path``, ``size`` and ``sha256``: the files of a `Fetched`, or those of a version.

    Returns:
        64 lower-case hexadecimal digits.

    Example:
        >>> manifest_digest([FetchedFile(path="model.onnx", size=3, sha256="ab" * 32)])[:16]
        'a0b4b89bdbb7ee79'
    """
    ordered = sorted(files, key=lambda file: file.path.encode())
    lines = (f"{file.sha256} {file.size} {file.path}\n" for file in ordered)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class FetchedFile(Listed, BaseModel):
    """A file in the store, with its path in the model.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        size: In bytes.
        sha256: Of its bytes: its address in the store.
        url: Their origin, without query, user information and signatures; `None` if it is not known.
        format: Of weights, such as ``safetensors``, as their bytes say; `None` if it is not known.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    path: FilePath
    size: int = Field(ge=0, le=MAX_SIZE)
    sha256: Sha256
    url: KeptAddress | None = None
    format: str | None = None

    def _summary(self) -> dict[str, object]:
        return {"": self.path, "size": shown_size(self.size), "sha256": short_digest(self.sha256)}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("file", "size", "sha256"), (), numbers=frozenset((1,)))

    def _cells(self) -> tuple[str | Cell, ...]:
        return self.path, shown_size(self.size), cut_digest(self.sha256)


def _checked_layout(files: tuple[FetchedFile, ...]) -> tuple[FetchedFile, ...]:
    check_layout([file.path for file in files])
    return files


class Fetched(Displayed, BaseModel):
    """The result of `fetch`: verified files in the store. Give it to `ModelService.register`. It can be sent as JSON.

    Attributes:
        source: The address, without credentials or query.
        name: The name that the source suggests for the model.
        files: Sorted by path.
        bytes_fetched: The number of transferred bytes. Content with several names is transferred and counted once.
        bytes_reused: The number of bytes that were not transferred, because the store had them, or the source is on
            this machine. Each content is counted once.
        source_revision: The revision at its source, such as a commit; `None` if there is none. For a directory that
            ``huggingface_hub`` filled, the commit that it recorded, if all files are unchanged.
        source_repository: The repository's name at its hub, such as ``org/model``.
        hub: Where it was published, such as ``huggingface``.
        author: Who made it, as the hub says.
        license: From the hub and the files, such as ``apache-2.0``; several are joined by AND.
        task: As the hub says, such as ``text-generation``.
        description: The first paragraph of its model card, at most 500 characters.
        model_card: Its ``README.md``, at most 100,000 characters of it.
        details: The facts that the files tell: ``format``, ``architecture``, ``parameters`` by type, ``quantization``,
            ``context_length``, ``remote_code``, each only if it was found.
        digests_known: Whether a digest of each file was known before the transfer.
        left_out: Files of the source that are not a part of the model, each with the reason.
        changed: Paths of files in a directory that ``huggingface_hub`` filled, and that were changed after its
            download.
        faults: Files that are not what their names say, such as a Git LFS pointer or a web page.
        store: The id of the store that has the files. If it is the registry's own store, registration checks each file.
        lease: The name of the lease that protects them from a clean-up until they are registered, for 24 hours by
            default (``STORAGE_SERVICE_LEASE``); ``storage.release(lease)`` ends it. `None` if there is none.

    Example:
        >>> file = FetchedFile(path="model.onnx", size=3, sha256="ab" * 32)
        >>> fetched = Fetched(source="/models/tiny", name="tiny", files=(file,), bytes_fetched=3, bytes_reused=0)
        >>> Fetched.model_validate_json(fetched.model_dump_json()) == fetched
        True
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    source: str
    name: str
    files: Annotated[tuple[FetchedFile, ...], AfterValidator(_checked_layout)]
    bytes_fetched: int
    bytes_reused: int
    source_revision: str | None = None
    source_repository: str | None = None
    hub: str | None = None
    author: str | None = None
    license: str | None = None
    task: str | None = None
    description: str | None = None
    model_card: str | None = None
    details: dict[str, JsonValue] = Field(default_factory=dict)
    digests_known: bool = False
    left_out: tuple[LeftOutSchema, ...] = ()
    changed: tuple[FilePath, ...] = ()
    faults: tuple[FileFaultSchema, ...] = ()
    store: str | None = None
    lease: str | None = None

    def _summary(self) -> dict[str, object]:
        return {
            "": self.source,
            "files": len(self.files),
            "size": shown_size(self.size),
            "fetched": shown_size(self.bytes_fetched),
            "license": self.license,
            "left_out": len(self.left_out) or None,
            "faults": len(self.faults) or None,
        }

    def _tables(self) -> Iterable[Table]:
        named = (
            self._summary()
            | {"": None, "left_out": None, "faults": None, "reused": shown_size(self.bytes_reused)}
            | {"revision": self.source_revision, "task": self.task, "description": self.description}
        )
        yield facts(named, heading=self.source)
        yield listed(self.files)
        for head, found in (("left out", self.left_out), ("no model", self.faults)):
            yield Table((head, "because it"), first_rows(((one.path, one.reason) for one in found), len(found)))

    @property
    def size(self) -> int:
        """Bytes, all files together."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """The digest that identifies the files, as `manifest_digest` computes it."""
        return manifest_digest(self.files)


class AdoptedFile(FetchedFile):
    """A file that was taken over, with its path in the model.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        size: In bytes.
        sha256: Of its bytes: its address in the store.
        by: How it was taken over: ``reflink`` (it shares the other file's blocks), ``link`` (a hard link to that file),
            ``copy``, or ``kept`` (the store had it already).
    """

    by: AdoptedBy

    def _summary(self) -> dict[str, object]:
        return {**super()._summary(), "by": self.by}


class Adopted(Fetched):
    """The result of `adopt`: a `Fetched` without transferred bytes, and how each file was taken over.

    It can be sent as JSON.

    Attributes:
        files: Sorted by path.

    Example:
        >>> file = AdoptedFile(path="model.onnx", size=3, sha256="ab" * 32, by="link")
        >>> Adopted(source="hf://org/tiny", name="tiny", files=(file,), bytes_fetched=0, bytes_reused=3).bytes_copied
        0
    """

    files: tuple[AdoptedFile, ...]  # whose layout was checked before they were taken over

    @property
    def bytes_copied(self) -> int:
        """The bytes that take space twice, because they can be neither shared nor linked; each content once."""
        return sum({file.sha256: file.size for file in self.files if file.by == "copy"}.values())
