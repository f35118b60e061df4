"""``s3://``, ``gs://`` and ``az://``: a prefix of a bucket, or one object of it, through ``obstore``.

``obstore`` finds credentials, region and endpoint in the environment, as its documentation lists them
(https://developmentseed.org/obstore/latest/authentication/). If there are keys that it cannot read
(findings/obstore-odd-key.sh), the service's own listing is read.
"""

import asyncio
import re
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from itertools import compress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from kamiwaza_sdk._addresses import without_queries, without_secrets
from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._tasks import for_each
from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidPathException
from kamiwaza_sdk.services.download.exceptions import DownloadException, SizeMismatchException
from kamiwaza_sdk.services.hub.addresses import redacted, suggested
from kamiwaza_sdk.services.hub.exceptions import (
    InvalidAnswerException,
    InvalidSourceException,
    ObjectStorageException,
    OfflineException,
)
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema, ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.selection import left_out_as
from kamiwaza_sdk.services.hub.sources.listings import RETRIES, ListedObject, list_objects
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ObjectStore

#: How many objects a prefix may have: what one holds in memory.
MAX_OBJECTS: Final = 100_000
#: Seconds that a listing may take: several times what one of so many does.
LISTING_PATIENCE: Final = 300.0
#: How many keys an error names.
_MOST_NAMED: Final = 5
#: How much of an object is in memory at once.
_PIECE: Final = 8 * 1024**2
#: How many objects are asked for at once.
_AT_ONCE: Final = 16
#: Of more than so many objects it is not asked one by one whether they are there.
_MOST_LOOKED_AT: Final = 1000
_ENDS_WITH_SLASH: Final = "has a key that ends with a slash, as no file's path does"
_BUCKET: Final = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")
#: What it says of a key that it cannot read.
_UNREADABLE_KEY: Final = re.compile(r"invalid path: (?:Error parsing )?Path \"([^\n]*?)\"(?: contained|:)")


class _Listing(NamedTuple):
    """Objects, those that are not allowed in a model, and whether their keys are unchanged."""

    objects: list[ListedObject]
    left_out: list[LeftOutSchema]
    is_exact: bool = False


class ObjectStorageSource:
    """The objects below a prefix, as they are listed."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the objects whose keys begin with the address and a slash, or the one that it names.

        Raises:
            InvalidSourceException: The address is none, or there is nothing, or too much.
            ObjectStorageException: The service does not answer, or refuses.
            InvalidAnswerException: It lists what is not below the prefix.
            InvalidPathException: An object has a key that cannot stand in a model.
            OfflineException: No connection may be opened, and it was not resolved before.
            MissingDependencyException: ``obstore`` is not installed.
        """
        place = _Place.parse(reference)
        if context.offline:
            return await context.recall(place.at(place.key))
        store = await asyncio.to_thread(_opened, place)
        with _translated(place):
            found = await _listed(store, place, context)
            if not found.objects and not found.left_out:
                found = _Listing([await _one(store, place)], [], is_exact=True)
            found = found._replace(objects=await asyncio.to_thread(_without_folders, found.objects))
            if not found.is_exact:
                found = await _that_are_there(store, found, place)
        manifest = await asyncio.to_thread(_manifest, found, place)
        await context.remember(place.at(place.key), manifest)
        return manifest

    async def stream(self, file: ManifestFileSchema, context: SourceContext) -> AsyncIterator[bytes]:
        """Yield an object range by range. If it has an ETag, each range is of the listed object.

        Raises:
            ObjectStorageException: The service does not answer, or the object is another by now.
            SizeMismatchException: It has another size by now.
            OfflineException: No connection may be opened.
            MissingDependencyException: ``obstore`` is not installed.
        """
        if context.offline:
            raise OfflineException(source=redacted(file.url), missing=[file.path])
        place = _Place.parse(file.url)
        store = await asyncio.to_thread(_opened, place)
        with _translated(place):
            size = (await store.head_async(place.key))["size"] if file.size is None else file.size
            for start in range(0, size, _PIECE):
                options: GetOptions = {"range": (start, min(start + _PIECE, size))}
                if file.etag is not None:
                    options["if_match"] = f'"{_bare(file.etag)}"'  # Azure's listings leave out the quotes
                answer = await store.get_async(place.key, options=options)
                _refuse_another(answer.meta, file, size, place)
                yield bytes(await answer.bytes_async())


def _manifest(found: _Listing, place: "_Place") -> ManifestSchema:
    files = tuple(_file(one, place) for one in found.objects)
    if not files:
        odd = ", ".join(ascii(one.path) for one in found.left_out[:_MOST_NAMED])
        reason = f"has none but those whose keys are no files' paths: {odd}" if odd else "has no objects"
        raise InvalidSourceException(str(place), f"{reason}; name a prefix that has others")
    path = PurePosixPath(place.key)
    name = path.stem if files[0].url == place.at(place.key) else path.name or place.bucket
    return ManifestSchema(source=str(place), name=suggested(name), files=files, left_out=tuple(found.left_out))


@dataclass(frozen=True, slots=True)
class _Place:
    """A bucket and a prefix in it, written like the keys, without escapes."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, reference: str) -> Self:
        scheme, _, rest = reference.partition("://")
        bucket, _, key = rest.partition("/")
        key = key.rstrip("/")
        try:
            if _BUCKET.fullmatch(bucket) and (not key or check_path(key)):
                return cls(scheme, bucket, key)
        except InvalidInputException as error:
            reason = f"names no place in a bucket: {error.reason}; write {scheme}://bucket/prefix"
            raise InvalidSourceException(redacted(reference), reason) from error
        raise InvalidSourceException(redacted(reference), f"names no bucket; write {scheme}://bucket/prefix")

    def at(self, key: str) -> str:
        """Return the address of an object in the same bucket."""
        return f"{self.scheme}://{self.bucket}/{key}"

    def below(self, key: str) -> str:
        """Return the part of a key below this place; for the place's own key, the last segment.

        Raises:
            InvalidAnswerException: It is not below it.
        """
        if key == self.key:
            return PurePosixPath(key).name
        if self.key and not key.startswith(f"{self.key}/"):
            raise InvalidAnswerException(url=str(self), reason=f"lists {key!a}, which is not below it")
        return key.removeprefix(f"{self.key}/") if self.key else key

    def __str__(self) -> str:
        """Return its address, without secrets."""
        return self.at(without_secrets(self.key)).rstrip("/")


def _opened(place: _Place) -> "ObjectStore":
    """Return the client for a bucket. Blocks: it imports, and reads the environment."""
    require("obstore", extra="object-storage")
    from obstore.store import AzureStore, GCSStore, S3Store

    with _translated(place):
        if place.scheme == "s3":
            return S3Store(place.bucket, retry_config=RETRIES)
        if place.scheme == "gs":
            return GCSStore(place.bucket, retry_config=RETRIES)
        return AzureStore(place.bucket, retry_config=RETRIES)


@contextmanager
def _translated(place: _Place) -> Generator[None]:
    """Translate errors of obstore, without the query of signed addresses."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, TimeoutError, ValueError) as error:
        if isinstance(error, InvalidInputException):
            raise
        if (named := _UNREADABLE_KEY.search(str(error))) is not None:
            raise _unreadable(place, named[1]) from None  # it says no more, in many lines
        reason = without_queries(str(error).partition("\n")[0]) or "it takes too long"
        cause = None if "sig=" in str(error) else error
        raise ObjectStorageException(source=str(place), kind=type(error).__name__, reason=reason) from cause


def _unreadable(place: _Place, key: str) -> ObjectStorageException:
    """Return the error for a key that prevents a listing: obstore refuses the whole page."""
    reason = (
        f"there is an object with the key {key!a}, whose empty, '.' or '..' segment obstore cannot read; leave it "
        f"out by naming a longer prefix, or the wanted objects one by one, as {place.at('prefix/file')}, or rename it"
    )
    return ObjectStorageException(source=str(place), kind="InvalidPathError", reason=reason, key=key)


async def _listed(store: "ObjectStore", place: _Place, context: SourceContext) -> _Listing:
    """Return the objects below a place, listed by obstore, or by the service if obstore cannot read all keys."""
    from obstore.exceptions import BaseError

    async with asyncio.timeout(LISTING_PATIENCE):  # for a listing may go on without ever naming anything
        try:
            found = await _sorted_out(_pages(store, place), place)
        except (BaseError, ValueError) as error:
            if (unreadable := _UNREADABLE_KEY.search(str(error))) is None:
                raise
            return await _listed_by_service(place, context, unreadable=unreadable[1])
        if not place.key and await _has_slashes_ahead(place, context):
            return await _listed_by_service(place, context, unreadable="/")
        if len(found.objects) > _MOST_LOOKED_AT or _are_alike(found.objects):
            with suppress(ObjectStorageException):
                return await _listed_by_service(place, context, unreadable="/")
        return found


async def _pages(store: "ObjectStore", place: _Place) -> AsyncGenerator[list[ListedObject]]:
    async for page in store.list(place.key or None, chunk_size=1000):
        yield [_listed_object(one) for one in page]


async def _listed_by_service(place: _Place, context: SourceContext, *, unreadable: str) -> _Listing:
    from obstore.exceptions import BaseError

    prefix = f"{place.key}/" if place.key else ""
    try:
        pages = list_objects(place.scheme, place.bucket, context, prefix=prefix)
        return (await _sorted_out(pages, place))._replace(is_exact=True)
    except (DownloadException, InvalidAnswerException, BaseError) as error:
        raise _unreadable(place, unreadable) from error


def _are_alike(objects: list[ListedObject]) -> bool:
    """Tell whether some keys are equal without the slashes that obstore removes."""
    return len({one.key for one in objects}) < len(objects)


async def _has_slashes_ahead(place: _Place, context: SourceContext) -> bool:
    """Tell whether keys of a bucket begin with a slash, which obstore removes, so that its keys do not exist."""
    from obstore.exceptions import BaseError

    try:
        async with aclosing(list_objects(place.scheme, place.bucket, context, prefix="/", at_most=1)) as pages:
            return bool(await anext(pages))
    except (DownloadException, InvalidAnswerException, BaseError):
        return False  # not every service, nor every proxy, lets it be asked


async def _sorted_out(pages: AsyncGenerator[list[ListedObject]], place: _Place) -> _Listing:
    """Return the objects that are allowed in a model, and the others by name."""
    found = _Listing([], [])
    async with aclosing(pages):
        async for page in pages:
            for one in page:
                problem = _problem(one, place)
                if problem is None:
                    found.objects.append(one)
                elif problem:
                    found.left_out.append(left_out_as(place.below(one.key), problem))
            if len(found.objects) + len(found.left_out) > MAX_OBJECTS:
                raise InvalidSourceException(str(place), f"has over {MAX_OBJECTS} objects; name a longer prefix")
    return found


def _problem(one: ListedObject, place: _Place) -> str | None:
    """Return why an object is not allowed in a model; an empty text for a folder, `None` if it is allowed."""
    if one.key.endswith("/"):
        return _ENDS_WITH_SLASH if one.size else ""
    try:
        check_path(place.below(one.key))
    except InvalidPathException as error:
        return f"has a key that is no file's path: {error.reason}"
    return None


def _listed_object(found: "ObjectMeta") -> ListedObject:
    return ListedObject(found["path"], found["size"], found["e_tag"])


async def _one(store: "ObjectStore", place: _Place) -> ListedObject:
    if not place.key:
        raise InvalidSourceException(str(place), "has no objects; name a bucket that has")
    return _listed_object(await store.head_async(place.key))


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _refuse_another(found: "ObjectMeta", file: ManifestFileSchema, size: int, place: _Place) -> None:
    """Raise unless the object is the listed one: not every service supports ``If-Match``."""
    if found["size"] != size:
        raise SizeMismatchException(url=redacted(file.url), expected=size, actual=found["size"])
    etag = found["e_tag"]
    if file.etag is not None and etag is not None and _bare(etag) != _bare(file.etag):
        reason = f"it has the ETag {etag} by now, and had {file.etag} when it was listed"
        raise ObjectStorageException(source=str(place), kind="PreconditionError", reason=reason)


def _without_folders(objects: list[ListedObject]) -> list[ListedObject]:
    """Return the objects without the empty ones that consoles create as folders."""
    keys = sorted(one.key for one in objects)

    def is_folder(key: str) -> bool:  # looked up, not listed: what stands above all keys can be gigabytes of text
        at = bisect_left(keys, f"{key}/")
        return at < len(keys) and keys[at].startswith(f"{key}/")

    return [one for one in objects if one.size or not is_folder(one.key)]


async def _that_are_there(store: "ObjectStore", found: _Listing, place: _Place) -> _Listing:
    """Return a listing without keys that end with a slash, which obstore removes, so that it cannot read them.

    If there are very many objects, only empty ones are checked, which may be folders.
    """
    filled = {one.key for one in found.objects if one.size}
    objects = [one for one in found.objects if one.size or one.key not in filled]  # not a folder beside its namesake
    is_short = len(objects) <= _MOST_LOOKED_AT

    async def is_there(one: ListedObject) -> bool:
        return (bool(one.size) and not is_short) or await _is_there(store, one.key)

    async with asyncio.timeout(LISTING_PATIENCE):
        known = await for_each(is_there, objects, at_once=_AT_ONCE)
    others = (one for one, is_known in zip(objects, known, strict=True) if one.size and not is_known)
    left_out = [left_out_as(f"{place.below(one.key)}/", _ENDS_WITH_SLASH) for one in others]
    return _Listing([*compress(objects, known)], [*found.left_out, *left_out])


async def _is_there(store: "ObjectStore", key: str) -> bool:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    try:
        await store.head_async(key)
    except FileNotFoundError:
        return False
    except (PermissionDeniedError, UnauthenticatedError):
        return True  # which the transfer will tell
    return True


def _file(found: ListedObject, place: _Place) -> ManifestFileSchema:
    path = check_path(place.below(found.key))
    return ManifestFileSchema(path=path, url=place.at(found.key), size=found.size, etag=found.etag)
