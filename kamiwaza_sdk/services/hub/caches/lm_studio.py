"""The directory of LM Studio: ``<publisher>/<repo>/<file>.gguf``, as https://lmstudio.ai/docs/app describes it."""

import os
from pathlib import Path
from typing import Final

from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.exceptions import InvalidPathException
from kamiwaza_sdk.services.hub.addresses import redacted, suggested
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema
from kamiwaza_sdk.services.hub.sources.local import resolve_path

__all__ = ["resolve"]

#: Where it keeps models, and where it did before version 0.3.6.
_PLACES: Final = ("~/.lmstudio/models", "~/.cache/lm-studio/models")
_PUBLISHER_AND_REPOSITORY: Final = 2


def resolve(reference: str, cache: Path | None, config: HubConfig) -> ManifestSchema:
    """Return the files of a directory. Blocks.

    Raises:
        InvalidSourceException: The reference is none, or the directory leads out of itself.
        NotInCacheException: There is no such directory, or not all of it.
    """
    del config
    repository = _repository(reference)
    places = [cache] if cache is not None else [Path(place).expanduser() for place in _PLACES]
    place = next((place for place in places if (place / repository).is_dir()), None)
    if place is None:
        looked_in = " and ".join(map(str, places))
        raise NotInCacheException(source=reference, cache=looked_in, reason="there is no directory of that name")
    _refuse_link(place, repository)
    manifest = resolve_path(place / repository)
    if parts := [file.path for file in manifest.files if file.path.endswith(".part")]:
        reason = f"its {parts[0]} has not arrived yet"
        raise NotInCacheException(source=reference, cache=str(place), reason=reason)
    publisher, _, name = repository.partition("/")
    return ManifestSchema(
        source=reference, name=suggested(name), files=manifest.files, repository=repository, author=publisher
    )


def _repository(reference: str) -> str:
    repository = reference.removeprefix("lmstudio://")
    try:
        if len(check_path(repository).split("/")) == _PUBLISHER_AND_REPOSITORY:
            return repository
    except InvalidPathException as error:
        raise InvalidSourceException(
            redacted(reference), "names no directory; write lmstudio://publisher/repo"
        ) from error
    raise InvalidSourceException(redacted(reference), "is not of two names; write lmstudio://publisher/repo")


def _refuse_link(place: Path, repository: str) -> None:
    directory = os.path.realpath(place / repository)
    if not Path(directory).is_relative_to(os.path.realpath(place)):
        reason = "is a link that leads out of the cache; fetch what it names by its path"
        raise InvalidSourceException(str(place / repository), reason)
