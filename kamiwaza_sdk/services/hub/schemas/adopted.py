"""What was taken over from another tool on this machine."""

from kamiwaza_sdk.services.hub.schemas.fetched import Fetched, FetchedFile
from kamiwaza_sdk.services.storage.schemas import AdoptedBy

__all__ = ["Adopted", "AdoptedFile"]


class AdoptedFile(FetchedFile):
    """A file that was taken over, under the name it has in its model.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        size: In bytes.
        sha256: Of its bytes: its address in the store.
        by: How it came: ``reflink`` (it shares the other file's blocks), ``link`` (it is that file, under a second
            name), ``copy``, or ``kept`` (the store had it already).
    """

    by: AdoptedBy


class Adopted(Fetched):
    """What `adopt` took over: a `Fetched` of which no byte travelled, with how each file came. Travels as JSON.

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
        """How many bytes take room a second time, because they can be neither shared nor linked; each content once."""
        return sum({file.sha256: file.size for file in self.files if file.by == "copy"}.values())
