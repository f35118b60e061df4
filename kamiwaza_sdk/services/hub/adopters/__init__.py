"""Adoption: caches of other tools become manifests of local files, which are taken into the store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kamiwaza_sdk._tasks import for_each
from kamiwaza_sdk._validation import check_place
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.hub.addresses import redacted, scheme_of
from kamiwaza_sdk.services.hub.adopters import hugging_face, lm_studio, ollama
from kamiwaza_sdk.services.hub.cache import KeptFiles, result_of
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.results import Adopted, AdoptedFile
from kamiwaza_sdk.services.hub.selection import Selection
from kamiwaza_sdk.services.hub.sources import by_content
from kamiwaza_sdk.services.hub.sources.local import CachedFiles, check_git_blob, check_inside, in_thread, readable
from kamiwaza_sdk.services.storage.files import check_room, device_of
from kamiwaza_sdk.services.storage.services import StorageService

_CACHES: Final[dict[str, Callable[[str, Path | None, HubConfig, Selection], CachedFiles]]] = {
    "hf": hugging_face.resolve,
    "lmstudio": lm_studio.resolve,
    "ollama": ollama.resolve,
}


def resolve_cached(source: Any, cache: Any, config: HubConfig, selection: Selection) -> CachedFiles:
    """Return the files of a source in another tool's cache. Blocks.

    Args:
        source: As `adopt` takes it.
        cache: As `adopt` takes it.
        config: The hub's settings.
        selection: Which files are wanted: the others need not be there.

    Raises:
        InvalidInputException: An argument is of a wrong kind.
        InvalidSourceException: No cache has such addresses, or what it has cannot be read or taken over.
        NotInCacheException: It has none of it, or not all.
    """
    if not isinstance(source, str):
        raise InvalidInputException("source", f"is a {type(source).__name__}; give such as hf://org/repo")
    scheme = scheme_of(source)
    if scheme not in _CACHES:
        reason = "is in no cache that is known; write hf://org/repo, ollama://name:tag or lmstudio://publisher/repo"
        raise InvalidSourceException(redacted(source), reason)
    address, place = source.strip(), _place(cache)
    with readable(place or Path(address)):
        return _CACHES[scheme](f"{scheme}{address[len(scheme) :]}", place, config, selection)


def _place(cache: Any) -> Path | None:  # Any: as above
    return None if cache is None else check_place(cache, field="cache").expanduser().absolute()


#: How many files are hashed at once: more would only wait for the disk.
_AT_ONCE: Final = 4


async def adopt_all(manifest: ManifestSchema, storage: StorageService) -> Adopted:
    """Take over the files of a manifest, all of which are on this machine."""
    contents = await in_thread(lambda: by_content(manifest.files))
    await in_thread(lambda: _refuse_without_room([names[0] for names in contents], storage))

    async def adopt(names: list[ManifestFileSchema]) -> AdoptedFile:
        return await in_thread(lambda: _adopt(names[0], storage))

    adopted = await for_each(adopt, contents, at_once=_AT_ONCE)
    return await in_thread(lambda: _result(manifest, contents, adopted))


def _result(manifest: ManifestSchema, contents: list[list[ManifestFileSchema]], adopted: list[AdoptedFile]) -> Adopted:
    files = [
        one.model_copy(update={"path": file.path})
        for names, one in zip(contents, adopted, strict=True)
        for file in names
    ]
    return result_of(manifest, Adopted, files, bytes_fetched=0, bytes_reused=sum(one.size for one in adopted))


def _refuse_without_room(files: list[ManifestFileSchema], storage: StorageService) -> None:
    """Raise if there is no space for the files that must be copied, from another file system. Blocks."""
    device = device_of(storage.root)
    kept = KeptFiles(storage)
    copied = dict[str, int]()
    for file in files:
        path = check_inside(file)
        if path.stat().st_dev != device and (not file.has_digest or kept.find(file) is None):
            copied[str(path)] = path.stat().st_size
    check_room(storage.root, sum(copied.values()))


def _adopt(file: ManifestFileSchema, storage: StorageService) -> AdoptedFile:
    """Take a file over, unless its path leads elsewhere now. Blocks."""
    path = check_inside(file)
    check_git_blob(file, path)  # first: what is not right is not touched
    blob = storage.adopt(path, sha256=file.sha256)
    check_git_blob(file, blob.path)  # what became of it, if it changed meanwhile
    if file.git_blob_id is not None:  # so that a fetch of the same finds it
        KeptFiles(storage).remember([(file, blob, Validators())])
    return AdoptedFile(path=file.path, size=blob.size, sha256=blob.sha256, by=blob.by)
