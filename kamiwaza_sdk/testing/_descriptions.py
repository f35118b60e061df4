"""Descriptions of repositories by the API of a fake hub, and its search.

They come from the committed files and given fields: the card is the front matter of ``README.md``, the configuration is
``config.json``. Unknown fields are left out, as by the real hub.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kamiwaza_sdk.testing._repositories import Commit, Entry, Kind, Repository
from kamiwaza_sdk.testing._routes import BadQuestionError, Question

__all__ = ["described", "expanded", "searched"]

_HEAD: Final = re.compile(r"\A\s*---\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHARED: Final = _names(
    "author cardData createdAt disabled gated lastModified likes private resourceGroup sha siblings tags trendingScore"
    " usedStorage"
)
#: What ``expand`` may name, by kind; the rest gets 400, as at the real hub.
_EXPANDABLE: Final[dict[Kind, frozenset[str]]] = {
    "model": _SHARED
    | _names(
        "baseModels childrenModelCount config downloads downloadsAllTime evalResults gguf inference library_name"
        " inferenceProviderMapping mask_token model-index pipeline_tag safetensors spaces transformersInfo widgetData"
    ),
    "dataset": _SHARED | _names("citation description downloads downloadsAllTime mainSize paperswithcode_id"),
    "space": _SHARED - {"gated"} | _names("datasets models region runtime sdk subdomain"),
}
_ALWAYS: Final = _names("_id id modelId")
#: What is told of each repository that a search finds; more is told only if it is asked for.
_BRIEF: Final[dict[Kind, frozenset[str]]] = {
    "model": _ALWAYS | _names("createdAt downloads library_name likes pipeline_tag private tags trendingScore"),
    "dataset": _ALWAYS
    | _names("author createdAt disabled downloads gated lastModified likes private sha tags trendingScore"),
    "space": _ALWAYS | _names("createdAt likes private sdk tags trendingScore"),
}
_FULL: Final = _names("author disabled gated lastModified sha siblings")
#: Parameters of a search, and the field that each adds to what is told.
_ADDED: Final = {"cardData": "cardData", "config": "config"}
_SORTS: Final = _names("createdAt downloads lastModified likes trendingScore")
#: Filters of the real hub that need what this one does not know: better none than a wrong answer.
_UNKNOWN: Final = _names("apps inference inference_provider num_parameters")
#: Keys of a card that become tags of models as they are, and those that become tags with their name before them.
_PLAIN: Final = ("library_name", "tags", "language", "pipeline_tag")
_NAMED: Final = {"license": "license", "datasets": "dataset", "base_model": "base_model"}
#: Keys of a card that become tags of datasets.
_OF_DATASETS: Final = _names(
    "annotations_creators benchmark language language_creators license multilinguality size_categories source_datasets"
    " task_categories task_ids"
)


def described(repository: Repository, commit: Commit, question: Question) -> dict[str, object]:
    """Return the description of one revision.

    Raises:
        BadQuestionError: ``expand`` names what is not known.
    """
    shown = _everything(repository, commit)
    if question.values("expand"):
        return _only(shown, _ALWAYS | _expanding(repository.kind, question))
    if question.flag("blobs"):
        shown["siblings"] = [_sibling(entry) for entry in commit.entries.values()]
    if question.flag("securityStatus"):
        shown["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    return _only(shown, shown.keys() - {"downloadsAllTime"})


def searched(repositories: Iterable[Repository], kind: Kind, question: Question) -> list[dict[str, object]]:
    """Return the descriptions of the found repositories, in the order of the search.

    Raises:
        BadQuestionError: It sorts by, filters by, or expands what is not known.
    """
    if unknown := question.names() & _UNKNOWN:
        raise BadQuestionError(f"{', '.join(sorted(unknown))}: a hub of tests cannot filter by this")
    sort = question.value("sort") or "trendingScore"
    if sort not in _SORTS:
        raise BadQuestionError(f"sort is {sort!r}, and must be one of {', '.join(sorted(_SORTS))}")
    told = _expanding(kind, question) or _told(kind, question)
    everything = [_everything(one, one.commits[one.refs["main"]]) for one in repositories if one.kind == kind]
    hits = [shown for shown in everything if _matches(shown, question)]
    hits.sort(key=lambda shown: shown.get(sort) or 0, reverse=True)
    return [_only(shown, _ALWAYS | told) for shown in hits]


def expanded(repository: Repository, commit: Commit, shown: Mapping[str, object]) -> Mapping[str, object]:
    """Return an entry of a listing with the fields that must be requested."""
    last = repository.last_change(commit, str(shown["path"]))
    more: dict[str, object] = {"lastCommit": {"id": last.id, "title": last.title, "date": last.date}}
    if shown["type"] == "file":
        more["securityFileStatus"] = {"status": "unscanned", "avScan": None, "pickleImportScan": None}
    return {**shown, **more}


def _told(kind: Kind, question: Question) -> frozenset[str]:
    """Return the fields of a search without ``expand``."""
    told = _BRIEF[kind] | {field for name, field in _ADDED.items() if question.flag(name)}
    if question.flag("full"):
        told |= _FULL if kind == "model" else _FULL | {"cardData", "description", "models", "datasets"}
    return told | {name for name in ("models", "datasets") if question.flag("linked") or question.values(name)}


def _expanding(kind: Kind, question: Question) -> frozenset[str]:
    names = frozenset(question.values("expand"))
    if unknown := names - _EXPANDABLE[kind]:
        known = "|".join(f'"{name}"' for name in sorted(_EXPANDABLE[kind]))
        raise BadQuestionError(f"expand names {', '.join(sorted(unknown))}; expected one of {known}")
    return names


def _only(shown: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    wanted = set(names)
    return {name: value for name, value in shown.items() if name in wanted}


def _matches(shown: Mapping[str, Any], question: Question) -> bool:
    """Whether a search finds it: all words, tags and values must match."""
    words = (question.value("search") or "").lower().split()
    tags = {*shown["tags"], shown.get("pipeline_tag"), shown.get("library_name")}
    gated = question.flag("gated")
    equal = all(question.value(name) in {None, shown.get(name)} for name in ("author", "pipeline_tag"))
    linked = all(set(question.values(name)) <= set(shown.get(name, ())) for name in ("models", "datasets"))
    return (
        all(word in shown["id"].lower() for word in words)
        and tags.issuperset(question.values("filter"))
        and (equal and linked and (gated is None or gated == bool(shown["gated"])))
    )


def _everything(repository: Repository, commit: Commit) -> dict[str, Any]:
    """Return all known fields of a repository."""
    card = _card(repository, commit)
    shown: dict[str, Any] = {
        "_id": f"{repository.number:024x}",
        "id": repository.name,
        "author": repository.name.rpartition("/")[0] or None,
        "sha": commit.id,
        "private": repository.private,
        "gated": "auto" if repository.gated else False,
        "disabled": False,
        "downloads": repository.downloads,
        "downloadsAllTime": repository.downloads,
        "likes": repository.likes,
        "tags": list(dict.fromkeys(_tags(repository, card))),
        "createdAt": repository.created_at,
        "lastModified": commit.date,
        "trendingScore": repository.likes,
        "cardData": card,
        "siblings": [{"rfilename": path} for path in commit.entries],
        "usedStorage": sum(entry.body.size for entry in commit.entries.values()),
    }
    shown |= _OF_KIND[repository.kind](repository, commit, card)
    return {name: value for name, value in shown.items() if value is not None}


def _of_model(repository: Repository, commit: Commit, card: Mapping[str, Any]) -> dict[str, object]:
    config = _json(commit, "config.json")
    return {
        "modelId": repository.name,
        "pipeline_tag": repository.task or card.get("pipeline_tag"),
        "library_name": card.get("library_name"),
        "model-index": card.get("model-index"),
        "widgetData": card.get("widget"),
        "config": {name: config[name] for name in ("architectures", "model_type") if name in config},
    }


def _of_dataset(_: Repository, __: Commit, card: Mapping[str, Any]) -> dict[str, object]:
    return {"description": card.get("pretty_name")}


def _of_space(_: Repository, __: Commit, card: Mapping[str, Any]) -> dict[str, object]:
    return {"sdk": card.get("sdk"), "models": card.get("models", []), "datasets": card.get("datasets", [])}


_OF_KIND: Final = {"model": _of_model, "dataset": _of_dataset, "space": _of_space}


def _tags(repository: Repository, card: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tags of a repository: the given ones, then those of its card."""
    yield from repository.tags
    if repository.kind == "model":
        for key in _PLAIN:
            yield from _texts(card.get(key))
        named: Mapping[str, str] = _NAMED
    else:
        yield from _texts(card.get("tags"))
        named = {key: key for key in sorted(_OF_DATASETS)}
    for key, name in named.items():
        yield from (f"{name}:{value}" for value in _texts(card.get(key)))


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _sibling(entry: Entry) -> dict[str, object]:
    shown: dict[str, object] = {"rfilename": entry.path, "size": entry.body.size, "blobId": entry.oid}
    if entry.sha256 is not None:
        shown["lfs"] = {"sha256": entry.sha256, "size": entry.body.size, "pointerSize": entry.pointer_size}
    return shown


def _card(repository: Repository, commit: Commit) -> dict[str, Any]:
    """Return the card, with the given licence."""
    import yaml  # few tests have a card

    head = _HEAD.match(_text(commit, "README.md"))
    try:
        card = yaml.safe_load(head[1]) if head is not None else None
    except yaml.YAMLError:
        card = None
    given = {} if repository.license is None else {"license": repository.license}
    return {**(card if isinstance(card, dict) else {}), **given}


def _json(commit: Commit, path: str) -> dict[str, Any]:
    try:
        content = json.loads(_text(commit, path) or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _text(commit: Commit, path: str) -> str:
    entry = commit.entries.get(path)
    return "" if entry is None else entry.body.read(0, entry.body.size).decode(errors="replace")
