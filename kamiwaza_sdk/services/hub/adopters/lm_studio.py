"""The directory of LM Studio: ``<publisher>/<repo>/<file>.gguf``, as https://lmstudio.ai/docs/app describes it."""

import os
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.exceptions import InvalidPathException
from kamiwaza_sdk.services.hub.addresses import redacted, suggested
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema
from kamiwaza_sdk.services.hub.selection import Selection
from kamiwaza_sdk.services.hub.sources.local import CachedFiles, read_small, resolve_path

#: Names its home, as ``lms`` finds it; https://lmstudio.ai/docs/cli
_POINTER: Final = "~/.lmstudio-home-pointer"
#: Its home otherwise: now, and before version 0.3.6.
_HOMES: Final = ("~/.lmstudio", "~/.cache/lm-studio")
_MAX_SETTINGS: Final = 1024**2
_PUBLISHER_AND_REPOSITORY: Final = 2


class _Settings(BaseModel):
    """The fields of its ``settings.json`` that are used."""

    folder: str = Field(default="", alias="downloadsFolder")


def resolve(reference: str, cache: Path | None, config: HubConfig, selection: Selection) -> CachedFiles:
    """Return the files of a directory. Blocks.

    Raises:
        InvalidSourceException: The reference is none, or the directory leads out of itself.
        NotInCacheException: There is no such directory, or not all of it.
    """
    del config
    repository = _repository(reference)
    places = [cache] if cache is not None else _places()
    place = next((place for place in places if (place / repository).is_dir()), None)
    if place is None:
        looked_in = " and ".join(map(str, places))
        raise NotInCacheException(source=reference, cache=looked_in, reason="there is no directory of that name")
    _refuse_link(place, repository)
    manifest = resolve_path(
        place / repository,
        selection,
        unfinished=lambda path, reason: NotInCacheException(
            source=reference, cache=str(place), reason=f"its {path} {reason}"
        ),
    )
    publisher, _, name = repository.partition("/")
    return CachedFiles(
        ManifestSchema(
            source=reference,
            name=suggested(name),
            files=manifest.files,
            repository=repository,
            author=publisher,
            left_out=manifest.left_out,
        )
    )


def _places() -> list[Path]:
    """Return the directories of models: the one that was chosen in LM Studio, or else those in its home."""
    pointer = Path(_POINTER).expanduser()
    named = (read_small(pointer, inside=pointer.parent, limit=_MAX_SETTINGS) or b"").decode(errors="replace").strip()
    homes = [Path(home).expanduser() for home in ([named] if Path(named).is_absolute() else []) + [*_HOMES]]
    places = [place for home in homes for place in (_chosen(home), home / "models") if place is not None]
    return list(dict.fromkeys(places))


def _chosen(home: Path) -> Path | None:
    try:
        settings = _Settings.model_validate_json(
            read_small(home / "settings.json", inside=home, limit=_MAX_SETTINGS) or b"{}"
        )
    except ValidationError:  # of a version that writes it otherwise
        return None
    return Path(settings.folder) if Path(settings.folder).is_absolute() else None


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
