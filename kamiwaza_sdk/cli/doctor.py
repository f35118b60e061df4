"""What is wrong with database, store, credentials and versions, and the way out."""

import argparse
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from kamiwaza_sdk import (
    DatabaseNotReadyException,
    DownloadConfig,
    HubConfig,
    Registry,
    ServiceException,
    check_database,
)
from kamiwaza_sdk._display import Table, as_text, shown_size
from kamiwaza_sdk.cli.commands import opened, show_result
from kamiwaza_sdk.cli.parser import DONE, FAILED

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.remote.shared import BlobStore

#: What is told of whether it is installed, and the extra that installs it.
_OPTIONAL: Final = {
    "aiosqlite": "async",
    "psycopg": "postgres",
    "asyncpg": "asyncpg",
    "obstore": "object-storage",
    "tqdm": "notebook",
    "matplotlib": "plots",
}
#: Variables with which clouds are asked.
_CLOUD: Final = ("AWS_ACCESS_KEY_ID", "AZURE_STORAGE_ACCOUNT_NAME", "GOOGLE_APPLICATION_CREDENTIALS")
#: Below so many bytes, a store has hardly room for a model.
_LITTLE: Final = 1024**3


class Finding(NamedTuple):
    """What was looked at.

    Attributes:
        what: What it is.
        ok: Whether nothing is wrong with it.
        found: How it is.
        way_out: What to do, where something is wrong.
    """

    what: str
    ok: bool
    found: str
    way_out: str = ""


def doctor(given: argparse.Namespace) -> int:
    """Look at everything, and say what is wrong."""
    findings = [
        finding for look in (_versions, _database, _store, _shared, _credentials) for finding in _looked(look, given)
    ]
    if given.online:
        findings += _looked(_hub, given)
    rows = [("ok" if one.ok else "WRONG", one.what, one.found, one.way_out) for one in findings]
    show_result(given, [one._asdict() for one in findings], as_text([Table(("", "what", "found", "way out"), rows)]))
    return DONE if all(one.ok for one in findings) else FAILED


def _looked(look: Callable[[argparse.Namespace], Iterator[Finding]], given: argparse.Namespace) -> list[Finding]:
    """Return what a look finds; what it raises is a finding, too."""
    findings = list[Finding]()
    try:
        findings.extend(look(given))
    except (ServiceException, SQLAlchemyError, OSError) as error:
        findings.append(Finding(look.__name__.strip("_"), ok=False, found=str(error), way_out="see the message"))
    return findings


def _versions(_given: argparse.Namespace) -> Iterator[Finding]:
    yield Finding("kamiwaza-sdk", ok=True, found=f"{version('kamiwaza-sdk')}, Python {platform.python_version()}")
    for name, extra in _OPTIONAL.items():
        try:
            yield Finding(name, ok=True, found=version(name))
        except PackageNotFoundError:
            yield Finding(name, ok=True, found=f"not installed; needed only for the extra {extra}")


def _database(given: argparse.Namespace) -> Iterator[Finding]:
    with opened(given) as registry:
        place = registry.engine.url.render_as_string(hide_password=True)
        try:
            check_database(registry.engine)
        except DatabaseNotReadyException as error:
            yield Finding("database", ok=False, found=f"{place}: {error}", way_out="kamiwaza setup")
        else:
            yield Finding("database", ok=True, found=f"{place}, set up")


def _store(given: argparse.Namespace) -> Iterator[Finding]:
    with opened(given) as registry:
        root = registry.storage.root
        with registry.storage.stage() as path:
            path.write_bytes(b"")
        free = shutil.disk_usage(root).free
    way_out = "" if free >= _LITTLE else "make room, or name another place by STORAGE_SERVICE_ROOT"
    yield Finding("store", ok=free >= _LITTLE, found=f"{root}, writable, {shown_size(free)} free", way_out=way_out)


def _shared(given: argparse.Namespace) -> Iterator[Finding]:
    """Look whether the shared store and the tiers answer: each is asked for a blob that it cannot have."""
    with opened(given) as registry:
        shared = registry.storage._shared
    stores = [] if shared is None else [*(("tier", tier) for tier in shared.tiers), ("shared store", shared.remote)]
    for name, store in stores:
        if store is not None:
            yield _answers(name, store)


def _answers(name: str, store: "BlobStore") -> Finding:
    try:
        store.find("0" * 64)
        if name == "shared store":
            store.objects.write("clock/doctor", b"")
            store.objects.delete("clock/doctor")
    except (ServiceException, OSError) as error:
        return Finding(name, ok=False, found=str(store), way_out=str(error))
    return Finding(name, ok=True, found=f"{store}, {'writable' if name == 'shared store' else 'answers'}")


def _credentials(_given: argparse.Namespace) -> Iterator[Finding]:
    hub, downloads = HubConfig(), DownloadConfig()
    who = "nobody: only what is public" if hub.hf_token is None else "the owner of a token"
    offline = "; offline: no connection is opened" if hub.offline else ""
    yield Finding("hub", ok=True, found=f"{hub.hf_endpoint}, asked as {who}{offline}")
    if downloads.tokens:
        yield Finding("tokens", ok=True, found=f"for {', '.join(sorted(downloads.tokens))}")
    cloud = ", ".join(name for name in _CLOUD if os.environ.get(name))
    yield Finding("cloud", ok=True, found=cloud or "no variables set")


def _hub(given: argparse.Namespace) -> Iterator[Finding]:
    with opened(given) as registry:
        yield _asked(registry)


def _asked(registry: Registry) -> Finding:
    try:
        found = registry.search(limit=1)
    except ServiceException as error:
        return Finding("hub online", ok=False, found=str(error), way_out="look at the network, proxies and the token")
    return Finding("hub online", ok=True, found=f"answers, such as {found[0].name}" if found else "answers")
