"""What other tools on this machine have: their caches, turned into manifests of local files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kamiwaza_sdk._validation import check_place
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.addresses import redacted, scheme_of
from kamiwaza_sdk.services.hub.adopters import hugging_face, lm_studio, ollama
from kamiwaza_sdk.services.hub.adopters.files import Cached
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.selection import Selection
from kamiwaza_sdk.services.hub.sources.local import readable

__all__ = ["resolve_cached"]

_CACHES: Final[dict[str, Callable[[str, Path | None, HubConfig, Selection], Cached]]] = {
    "hf": hugging_face.resolve,
    "lmstudio": lm_studio.resolve,
    "ollama": ollama.resolve,
}


def resolve_cached(source: Any, cache: Any, config: HubConfig, selection: Selection) -> Cached:
    """Return the files that another tool has of something. Blocks.

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
