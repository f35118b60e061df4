"""Manifests, their files, files left out, and repositories that a search finds."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from kamiwaza_sdk._display import Listed, Table, cut_digest, facts, first_rows, shown_size, shown_time
from kamiwaza_sdk._validation import MAX_SIZE, FilePath, InputSchema, ModelName, Sha256, check_text
from kamiwaza_sdk.services.hub.addresses import path_of

if TYPE_CHECKING:
    from collections.abc import Iterable


_MAX_WORD_LENGTH: Final = 255
_MAX_TAGS: Final = 1000

#: What the registry can hold of one word about a model.
_Word = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_WORD_LENGTH), AfterValidator(check_text)]
_GitBlobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
_Address = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://"), AfterValidator(check_text)]


class ManifestFileSchema(InputSchema):
    r"""A file of a source: its address, and what is known about it.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        url: Its address: ``https://`` or ``http://``, which `DownloadService` downloads; ``file://``, which is copied;
            or one whose scheme has a `StreamingSource`. It may contain a signature, so it is not in the ``repr``.
        size: In bytes; `None` if it is known only after the transfer.
        sha256: The digest that it must have; `None` if it is not known.
        git_blob_id: The id that it must have: the SHA-1 of ``blob <size>\0`` and its bytes, by which git names content
            (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects). Checked before the file is stored.
        etag: The validator of its storage: the same address with the same ETag always has the same bytes. For files of
            a `StreamingSource`; servers of ``https://`` send their own.
        inside: For a ``file://``, the directory (without links in its path) that it must not lead out of, also as a
            ``file://``.

    Raises:
        InvalidPathException: The path is not allowed in a model.
        InvalidInputException: Another field is not valid.

    Example:
        >>> ManifestFileSchema(path="model.onnx", url="https://example.org/m/model.onnx", size=7)
        ManifestFileSchema(path='model.onnx', size='7 B')
    """

    path: FilePath
    url: _Address = Field(repr=False)
    size: int | None = Field(default=None, ge=0, le=MAX_SIZE)
    sha256: Sha256 | None = None
    git_blob_id: _GitBlobId | None = None
    etag: _Word | None = None
    inside: _Address | None = None

    @property
    def scheme(self) -> str:
        """The scheme of its URL, such as ``https``."""
        return self.url.partition("://")[0]

    @property
    def has_digest(self) -> bool:
        """Whether a digest of its bytes is known beforehand."""
        return self.sha256 is not None or self.git_blob_id is not None

    @property
    def is_pinned(self) -> bool:
        """Whether it is known that its address still has the same bytes."""
        return self.has_digest or self.etag is not None

    @property
    def content_key(self) -> str:
        """The key of its bytes in the store, which is the git blob id, or else the URL with the ETag."""
        if self.git_blob_id is not None:
            return f"git-blob:{self.git_blob_id}"
        return self.url if self.etag is None else f"etag:{self.etag} of {self.url}"

    @property
    def local(self) -> Path | None:
        """Its path on this machine; `None` if it is elsewhere."""
        return path_of(self.url) if self.scheme == "file" else None


class LeftOutSchema(InputSchema):
    """A file, or a directory with everything in it, of a source that does not belong to the model.

    Attributes:
        path: Relative to the source, with ``/`` between segments.
        reason: Why it was left out, in one sentence without its subject.

    Example:
        >>> print(LeftOutSchema(path=".git", reason="is version control's"))
        LeftOutSchema(path='.git', reason="is version control's")
    """

    path: str
    reason: str


class ManifestSchema(InputSchema):
    """The files of a source. `HubService.resolve` returns it, and `fetch` takes it and fetches exactly these files.

    It can be sent as JSON, with the URLs of its files: if these are signed, keep it secret.

    Attributes:
        source: The resolved address, pinned to a revision if possible, without credentials or query.
        name: The name that it suggests for the model.
        files: In any order and number. `HubService.resolve` returns 1 to 10,000 files that can be in one directory on
            every file system.
        revision: The revision that pins it, such as a commit: it always has the same files. `None` if there is none.
        repository: Its name at its hub, such as ``org/model``.
        hub: Where it was published, such as ``huggingface``.
        author: Who made it.
        license: Such as ``apache-2.0``.
        task: Such as ``text-generation``.
        tags: What the hub files it under.
        gated: Whether its hub sends its files only to users who have accepted conditions there.
        private: Whether its hub shows it only to some users.
        page: The address of its page for people.
        left_out: Files of the source that are not a part of the model: version control, notes of other tools, secrets,
            leftovers of editors. Files that ``allow`` and ``ignore`` exclude are not listed.

    Raises:
        InvalidInputException: A field is not valid.

    Example:
        >>> file = ManifestFileSchema(path="model.onnx", url="https://example.org/m/model.onnx", size=7)
        >>> manifest = ManifestSchema(source="https://example.org/m/", name="m", files=(file,))
        >>> ManifestSchema.model_validate_json(manifest.model_dump_json()) == manifest
        True
    """

    source: str
    name: ModelName
    files: tuple[ManifestFileSchema, ...]
    revision: _Word | None = None
    repository: _Word | None = None
    hub: _Word | None = None
    author: _Word | None = None
    license: _Word | None = None
    task: _Word | None = None
    tags: tuple[_Word, ...] = Field(default=(), max_length=_MAX_TAGS)
    gated: bool = False
    private: bool = False
    page: _Address | None = None
    left_out: tuple[LeftOutSchema, ...] = ()

    def _summary(self) -> dict[str, object]:
        return {
            "": self.source,
            "files": len(self.files),
            "size": shown_size(self.size),
            "license": self.license,
            "left_out": len(self.left_out) or None,
        }

    def _tables(self) -> "Iterable[Table]":
        rows = ((file.path, shown_size(file.size), cut_digest(file.sha256)) for file in self.files)
        head = ("file", "size", "sha256")
        yield facts(self._summary() | {"": None}, heading=self.source)
        yield Table(head, first_rows(rows, len(self.files)), numbers=frozenset((1,)))

    @property
    def size(self) -> int | None:
        """Bytes, all files together; `None` where one is not known."""
        sizes = [file.size for file in self.files]
        return sum(size for size in sizes if size is not None) if None not in sizes else None


class RepositorySchema(Listed, BaseModel):
    """A repository, as its hub describes it. Fields that the hub does not tell are `None`, unknown numbers are 0.

    Attributes:
        name: ``org/model``.
        source: The address for `fetch`, if the hub is the configured one.
        revision: The commit of its main branch.
        author: Who made it.
        task: Such as ``text-generation``.
        library: Such as ``transformers``.
        license: Such as ``apache-2.0``.
        tags: What the hub files it under.
        downloads: How often it was downloaded lately, as the hub counts.
        likes: How many like it.
        private: Whether the hub shows it only to some users.
        gated: Whether its files are sent only to users who have accepted its conditions.
        created_at: When it was created.
        modified_at: When it was last changed.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    name: str
    source: str
    revision: str | None = None
    author: str | None = None
    task: str | None = None
    library: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    private: bool = False
    gated: bool = False
    created_at: datetime | None = None
    modified_at: datetime | None = None

    def _summary(self) -> dict[str, object]:
        return {
            "": self.name,
            "task": self.task,
            "license": self.license,
            "downloads": self.downloads,
            "gated": self.gated or None,
        }

    @classmethod
    def _columns(cls) -> Table:
        return Table(("repository", "task", "license", "downloads", "likes", "modified"), (), numbers=frozenset((3, 4)))

    def _cells(self) -> tuple[str, ...]:
        counts = f"{self.downloads:,}", f"{self.likes:,}"
        return self.name, self.task or "", self.license or "", *counts, shown_time(self.modified_at)
