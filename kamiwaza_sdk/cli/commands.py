"""What each command does: it calls `Registry`, prints the result, and returns how it ended."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json
from sqlalchemy import Engine

from kamiwaza_sdk import (
    Filter,
    InvalidInputException,
    PlanSchema,
    Policy,
    Registry,
    StorageConfig,
    StorageService,
    create_engine,
    inspect_directory,
    inspect_file,
    setup_database,
)
from kamiwaza_sdk._display import Displayed, Listed, as_text, counted, facts, listed, shown_size, shown_time
from kamiwaza_sdk.cli.parser import CONFLICT, DONE, FAILED
from kamiwaza_sdk.registry.operations import delete
from kamiwaza_sdk.services.model.registry.references import parse_reference


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[Registry]:
    """Yield the registry that the arguments name."""
    storage = None if given.store is None else StorageService(StorageConfig(root=given.store))
    with Registry(given.database, storage=storage, namespace=given.namespace, actor=given.actor) as registry:
        yield registry


def show_result(given: argparse.Namespace, value: Any, text: str) -> int:  # Any: what JSON can be made of
    """Print a result, as JSON where that is asked for."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    shown = to_json(_plain(value), indent=2).decode() if given.json else text
    if shown:
        print(shown, flush=True)
    return DONE


def _plain(value: Any) -> Any:  # Any: as above
    """Return what JSON is made of: Pydantic before 2.11 makes none of a model that was not completed yet."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _show_all(given: argparse.Namespace, items: Sequence[Listed]) -> int:
    return show_result(given, items, as_text([listed(items, most=len(items))]) if items else "")


def _show_row(given: argparse.Namespace, item: Listed) -> int:
    return show_result(given, item, as_text([listed([item])]))


def _show_one(given: argparse.Namespace, item: Displayed) -> int:
    return show_result(given, item, as_text(item._tables()))


def _tell(text: str) -> None:
    """Print what is no result."""
    print(text, file=sys.stderr)


def _shows_progress() -> bool:
    """Tell whether there is a terminal for bars, and what draws them."""
    return sys.stderr.isatty() and find_spec("tqdm") is not None


def _tags(pairs: Iterable[str]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise InvalidInputException("tag", f"{pair!r} has no '='; write KEY=VALUE")
        tags[key] = value
    return tags


def setup(given: argparse.Namespace) -> int:
    """Create or upgrade the tables."""
    with opened(given) as registry:
        setup_database(registry.engine)
        place = registry.engine.url.render_as_string(hide_password=True)
        return show_result(given, {"database": place}, f"{place} is set up")


def _policy(given: argparse.Namespace) -> Policy | None:
    """Return the policy that a file has as JSON."""
    if given.policy is None:
        return None
    try:
        return Policy.model_validate_json(Path(given.policy).expanduser().read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidInputException("policy", f"cannot be read from {given.policy}: {error}") from error


def _planned(given: argparse.Namespace, registry: Registry, policy: Policy | None) -> PlanSchema:
    return registry.plan(
        given.source,
        fits=given.fits,
        variant=given.variant,
        allow=given.allow,
        ignore=given.ignore,
        policy=policy,
        context_length=given.context_length,
    )


def pull(given: argparse.Namespace) -> int:
    """Fetch and register; what fits, where that is asked for."""
    policy = _policy(given)
    with opened(given) as registry:
        chosen = given.fits is not None
        version = registry.pull(
            _planned(given, registry, policy) if chosen else given.source,
            name=given.name,
            version=given.version,
            alias=given.alias,
            sha256=given.sha256,
            variant=None if chosen else given.variant,
            allow=None if chosen else given.allow,
            ignore=None if chosen else given.ignore,
            policy=policy,
            force=given.force,
            progress=_shows_progress(),
            timeout=given.timeout,
        )
    return _show_row(given, version)


def register(given: argparse.Namespace) -> int:
    """Register a model of this machine."""
    with opened(given) as registry:
        version = registry.register(
            given.path,
            name=given.name,
            version=given.version,
            alias=given.alias,
            tags=_tags(given.tag),
            policy=_policy(given),
            force=given.force,
            progress=_shows_progress(),
        )
    return _show_row(given, version)


def adopt(given: argparse.Namespace) -> int:
    """Register what another tool has."""
    with opened(given) as registry:
        version = registry.adopt(
            given.source,
            name=given.name,
            version=given.version,
            alias=given.alias,
            cache=given.cache,
            variant=given.variant,
            allow=given.allow,
            ignore=given.ignore,
            policy=_policy(given),
            force=given.force,
        )
    return _show_row(given, version)


def plan(given: argparse.Namespace) -> int:
    """Tell what pulling would come to."""
    with opened(given) as registry:
        planned = _planned(given, registry, _policy(given))
    return _show_one(given, planned)


def search(given: argparse.Namespace) -> int:
    """Ask a hub."""
    with opened(given) as registry:
        found = registry.search(
            given.query, hub=given.hub, task=given.task, author=given.author, sort=given.sort, limit=given.limit
        )
    return _show_all(given, found)


def mirror(given: argparse.Namespace) -> int:
    """Bring many models into the store."""
    with opened(given) as registry:
        sources: list[Any] = list(given.sources)  # Any: sources of every kind
        if given.search is not None or given.author is not None:
            sources += registry.search(given.search, author=given.author, limit=given.limit)
        if not sources:
            raise InvalidInputException("sources", "are missing; name some, or --search or --author")
        mirrored = registry.mirror(
            sources,
            at_once=given.at_once,
            variant=given.variant,
            allow=given.allow,
            ignore=given.ignore,
            timeout=given.timeout,
        )
    _show_one(given, mirrored)
    return DONE if mirrored.is_complete else FAILED


def find(given: argparse.Namespace) -> int:
    """Find models in the registry."""
    with opened(given) as registry:
        page = registry.find(_filter(given.where), text=given.text, limit=given.limit)
    if page.next_cursor is not None:
        _tell(f"there are more than {given.limit}; raise --limit")
    return _show_all(given, page.items)


def _filter(text: str | None) -> Filter | None:
    if text is None:
        return None
    try:
        return TypeAdapter(Filter).validate_json(text)
    except ValidationError as error:
        raise InvalidInputException("where", f"is no filter: {error.errors()[0]['msg']}") from None


def list_models(given: argparse.Namespace) -> int:
    """List models, or versions."""
    with opened(given) as registry:
        if given.name is None:
            return _show_all(given, registry.list(limit=given.limit))
        return _show_all(given, registry.versions(given.name, limit=given.limit))


def show(given: argparse.Namespace) -> int:
    """Show a model, or a version."""
    reference = parse_reference(given.reference)
    with opened(given) as registry:
        if reference.version is not None or reference.alias is not None:
            return _show_one(given, registry.get(given.reference))
        with registry.transaction() as models:
            return _show_one(given, models.get_model_by_name(reference.name))


def diff(given: argparse.Namespace) -> int:
    """Compare two versions."""
    with opened(given) as registry:
        found = registry.diff(given.before, given.after)
    return show_result(given, found, str(found))


def tag(given: argparse.Namespace) -> int:
    """Set tags, and take tags away."""
    with opened(given) as registry:
        if given.remove and not given.yes:
            return _would(given, f"take the tags {', '.join(given.remove)} from {_name(registry, given.reference)}")
        removed: dict[str, str | None] = dict.fromkeys(given.remove)
        version = registry.tag(given.reference, {**removed, **_tags(given.tags)})
    return show_result(given, version.tags, "\n".join(f"{key}={value}" for key, value in version.tags.items()))


def _name(registry: Registry, reference: str) -> str:
    version = registry.get(reference)
    return f"{version.model_name}:{version.number}"


def _would(given: argparse.Namespace, text: str) -> int:
    """Say what would be done with ``--yes``."""
    show_result(given, {"would": text, "done": False}, f"would {text}")
    _tell("nothing was done; give --yes to do it")
    return CONFLICT


def alias(given: argparse.Namespace) -> int:
    """Move an alias, roll it back, or take it away."""
    with opened(given) as registry:
        if given.remove:
            return _remove_alias(given, registry)
        if given.rollback:
            version = registry.rollback(given.reference)
        elif given.alias is None:
            raise InvalidInputException("alias", "is missing; write: kamiwaza alias name:3 production")
        else:
            version = registry.set_alias(given.reference, given.alias)
    return _show_row(given, version)


def _remove_alias(given: argparse.Namespace, registry: Registry) -> int:
    reference = parse_reference(given.reference)
    if reference.alias is None:
        raise InvalidInputException("reference", f"{given.reference!r} names no alias; write name@alias")
    text = f"take the alias {reference.alias} from {_name(registry, given.reference)}"
    if not given.yes:
        return _would(given, text)
    with registry.transaction() as models:
        models.delete_alias(models.get_model_by_name(reference.name).id, reference.alias)
    return show_result(given, {"would": text, "done": True}, f"done: {text}")


def remove(given: argparse.Namespace) -> int:
    """Delete a version, or a model."""
    reference = parse_reference(given.reference)
    with opened(given) as registry:
        if reference.version is None and reference.alias is None:
            versions = counted(len(registry.versions(reference.name, limit=1000)), "version")
            text = f"delete the model {reference.name} with {versions}; it can be restored"
        else:
            version = registry.get(given.reference)
            text = f"delete {version.model_name}:{version.number} for good; its files stay in the store"
        if not given.yes:
            _try_to_delete(registry, given.reference)
            return _would(given, text)
        registry.delete(given.reference)
    return show_result(given, {"would": text, "done": True}, f"done: {text}")


def _try_to_delete(registry: Registry, reference: str) -> None:
    """Delete, and take it back: what is in the way, such as an alias, is told before ``--yes`` is given."""
    with registry.transaction() as models:
        delete(models, reference)
        models.db.rollback()


def materialize(given: argparse.Namespace) -> int:
    """Lay a version out."""
    with opened(given) as registry:
        path = registry.materialize(
            given.reference,
            given.directory,
            layout=given.layout,
            writable=given.writable,
            force=given.force,
            progress=_shows_progress(),
            timeout=given.timeout,
        )
    return show_result(given, {"path": str(path)}, str(path))


def inspect(given: argparse.Namespace) -> int:
    """Tell what files say about themselves."""
    place = Path(given.path).expanduser()
    if not place.exists():
        with opened(given) as registry:
            place = registry.materialize(given.path, force=True)
    found: Any = inspect_directory(place) if place.is_dir() else inspect_file(place)  # Any: one of many schemas
    text = as_text(found._tables()) if isinstance(found, Displayed) else str(found)
    return show_result(given, found, text)


def events(given: argparse.Namespace) -> int:
    """Show what happened."""
    with opened(given) as registry:
        return _show_all(given, registry.events(given.name, descending=True, limit=given.limit).items)


def du(given: argparse.Namespace) -> int:
    """Tell what the store takes."""
    with opened(given) as registry:
        found = registry.usage()
    rows = {
        "blobs": f"{shown_size(found.bytes)} in {found.blobs:,}",
        "oldest": shown_time(found.oldest),
        "staging": shown_size(found.staging.bytes),
        "trash": shown_size(found.trash.bytes),
        "quarantine": shown_size(found.quarantine.bytes),
    }
    return show_result(given, found, as_text([facts(rows)]))


def _others(given: argparse.Namespace) -> list[Engine]:
    return [create_engine(url) for url in given.also]


def verify(given: argparse.Namespace) -> int:
    """Compare the store with its registries."""
    with opened(given) as registry:
        report = registry.verify(read=given.read, databases=_others(given))
    show_result(given, report, str(report))
    return FAILED if report.problems else DONE


def repair(given: argparse.Namespace) -> int:
    """Bring again what is missing or damaged."""
    with opened(given) as registry:
        report = registry.verify(read=given.read, databases=_others(given))
        if not given.yes:
            return _would(given, f"bring {len(report.problems)} blobs again") if report.problems else DONE
        done = registry.repair(report, databases=_others(given))
    lines = [f"brought again: {len(done.brought)}", *(f"failed: {one}" for one in done.failed)]
    show_result(given, done, "\n".join(lines))
    return FAILED if done.failed else DONE


def prune(given: argparse.Namespace) -> int:
    """Remove what nobody refers to."""
    others = _others(given)
    with opened(given) as registry:
        planned = registry.plan_cleanup(unused_for=timedelta(days=given.unused_for), databases=others)
        if not given.yes:
            show_result(given, planned, str(planned))
            _tell("nothing was done; give --yes to do it")
            return CONFLICT
        done = registry.prune(planned, databases=others)
    freed = f"removed {counted(done.removed.blobs, 'blob')}, {shown_size(done.removed.bytes)}"
    later = f"; {done.pending.blobs} are set aside, which a later call removes" if done.pending.blobs else ""
    return show_result(given, done, f"{freed}{later}")


def export_models(given: argparse.Namespace) -> int:
    """Write what is known of models to a file."""
    with opened(given) as registry:
        done = registry.export_models(given.file, where=_filter(given.where), with_deleted=given.deleted)
    return show_result(given, done, f"{given.file}: {done.models} models, {done.versions} versions")


def import_models(given: argparse.Namespace) -> int:
    """Read it into this registry."""
    with opened(given) as registry:
        done = registry.import_models(given.file, on_conflict=given.on_conflict)
    return show_result(given, done, f"{done.created} created, {done.updated} updated, {done.skipped} skipped")
