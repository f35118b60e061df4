"""Layouts in which other programs find a version, without a copy: of huggingface_hub, Ollama and LM Studio.

Each is the files of the version under other names, which `lay_out` makes appear, and what the other program keeps
beside them: for huggingface_hub as version 2.4 does, for Ollama as its manifests of schema version 2 have it, and for
LM Studio below ``models/publisher/model``.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kamiwaza_sdk._validation import check_name, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.storage.blobs import checked_paths
from kamiwaza_sdk.services.storage.exceptions import (
    FileConflictException,
    LayoutNotPossibleException,
    PathTraversalException,
)
from kamiwaza_sdk.services.storage.files import translated
from kamiwaza_sdk.services.storage.schemas import FileEntry, HasFiles

#: How a version is laid out: under its own names, or as another program keeps it.
Layout = Literal["plain", "huggingface", "ollama", "lm-studio"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_OF_HUGGING_FACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_OF_OLLAMA: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_MODEL: Final = "application/vnd.ollama.image.model"
_PROJECTOR: Final = "application/vnd.ollama.image.projector"


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A file of the version, under the name that it has in a layout."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _View:
    """What `lay_out` is to make appear."""

    files: Sequence[_Renamed]


def lay_out_as(layout: Layout, version: HasFiles, base: Path, lay_out: Callable[[HasFiles], None]) -> None:
    """Make a version appear as another program keeps it.

    Args:
        layout: Whose.
        version: What is to appear.
        base: The directory of the program's models.
        lay_out: Makes files appear below that, from the store.

    Raises:
        LayoutNotPossibleException: The version has not what the layout needs.
    """
    checked_paths(version.files)
    with translated(base):
        if layout == "huggingface":
            _as_hugging_face(version, base, lay_out)
        elif layout == "ollama":
            _as_ollama(version, base, lay_out)
        else:
            _as_lm_studio(version, lay_out)


def check_layout(layout: str, *, has_place: bool, writable: bool) -> None:
    """Raise `InvalidInputException` unless there is such a layout, and it can be had so."""
    if layout not in {"plain", "huggingface", "ollama", "lm-studio"}:
        reason = f"cannot be {shown(layout)}; it can be plain, huggingface, ollama, lm-studio"
        raise InvalidInputException("layout", reason)
    if layout != "plain" and not has_place:
        raise InvalidInputException("directory", "is missing; name the one where the other program has its models")
    if layout != "plain" and writable:
        raise InvalidInputException("writable", "is for the plain layout: what another program finds is to be read")


def _as_hugging_face(version: HasFiles, base: Path, lay_out: Callable[[HasFiles], None]) -> None:
    repository = _needed(version, "source_repository", _OF_HUGGING_FACE, "huggingface", "the repository, as org/name")
    commit = _needed(version, "source_revision", _COMMIT, "huggingface", "the commit, as 40 hexadecimal digits")
    folder = f"models--{repository.replace('/', '--')}"
    lay_out(_View(_blobs(version, f"{folder}/blobs/")))
    for file in version.files:
        depth = file.path.count("/") + 2
        _point(base, f"{folder}/snapshots/{commit}/{file.path}", "../" * depth + f"blobs/{file.sha256}", file.sha256)
    main = base / folder / "refs/main"
    if not os.path.lexists(main):  # what is there was said by the hub
        _write_whole(base, main, commit.encode())


def _blobs(version: HasFiles, prefix: str) -> list[_Renamed]:
    by_digest = {file.sha256: file for file in version.files}
    return [_Renamed(prefix + digest, file.size, digest) for digest, file in by_digest.items()]


def _point(base: Path, path: str, target: str, sha256: str) -> None:
    link = base / path
    _make_folder(base, link)
    try:
        link.symlink_to(target)
    except FileExistsError:
        if not link.is_symlink() or os.readlink(link) != target:  # noqa: PTH115 - as text, not as a path
            raise FileConflictException(path=link, sha256=sha256) from None


def _make_folder(base: Path, path: Path) -> None:
    """Make the directories above a path, and raise where a symbolic link leads out of the base."""
    real = Path(os.path.realpath(path.parent))
    if not real.is_relative_to(os.path.realpath(base)):
        raise PathTraversalException(path=path, directory=base)
    real.mkdir(parents=True, exist_ok=True)


def _write_whole(base: Path, path: Path, content: bytes) -> None:
    _make_folder(base, path)
    temporary = path.with_name(f".kamiwaza-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _as_ollama(version: HasFiles, base: Path, lay_out: Callable[[HasFiles], None]) -> None:
    models = [file for file in version.files if file.path.lower().endswith(".gguf")]
    projectors = [file for file in models if file.path.rpartition("/")[2].lower().startswith("mmproj")]
    weights = [file for file in models if file not in projectors]
    if len(weights) != 1:
        needed = f"one file of weights in GGUF, and it has {len(weights)}"
        raise LayoutNotPossibleException(layout="ollama", needed=needed)
    layers = [_layer(weights[0], _MODEL), *(_layer(file, _PROJECTOR) for file in projectors)]
    config = json.dumps({"model_format": "gguf", "rootfs": {"type": "layers", "diff_ids": _digests(layers)}}).encode()
    digest = hashlib.sha256(config).hexdigest()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": f"sha256:{digest}", "size": len(config)},
        "layers": layers,
    }
    blobs = [_Renamed(f"blobs/sha256-{file.sha256}", file.size, file.sha256) for file in (*weights, *projectors)]
    path = base / "manifests/registry.ollama.ai" / _ollama_name(version)
    text = json.dumps(manifest, separators=(",", ":")).encode()
    if path.exists() and path.read_bytes() != text:
        raise FileConflictException(path=path, sha256=hashlib.sha256(text).hexdigest())
    for _ in range(2):  # Ollama removes blobs that no manifest names: those that went before it was there come back
        lay_out(_View(blobs))
        _write_whole(base, base / f"blobs/sha256-{digest}", config)
        _write_whole(base, path, text)


def _layer(file: FileEntry, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{file.sha256}", "size": file.size}


def _digests(layers: Sequence[dict[str, object]]) -> list[object]:
    return [layer["digest"] for layer in layers]


def _ollama_name(version: HasFiles) -> str:
    needed = "a model's name of one or two segments and a label, of letters, digits, '_', '-' and '.', to be its tag"
    name, tag = getattr(version, "model_name", None), getattr(version, "version", None)
    parts = name.split("/") if isinstance(name, str) else []
    segments = [*(["library"] if len(parts) == 1 else []), *parts, tag]
    are_plain = all(isinstance(part, str) and _OF_OLLAMA.fullmatch(part) for part in segments)
    if not are_plain or len(segments) != len(("namespace", "name", "tag")):
        raise LayoutNotPossibleException(layout="ollama", needed=needed)
    return "/".join(map(str, segments))


def _as_lm_studio(version: HasFiles, lay_out: Callable[[HasFiles], None]) -> None:
    named = [getattr(version, key, None) for key in ("source_repository", "model_name")]
    names = [name for name in named if isinstance(name, str) and "/" in name and _OF_HUGGING_FACE.fullmatch(name)]
    if not names:
        needed = "a repository or a model's name of two segments, to be publisher/model"
        raise LayoutNotPossibleException(layout="lm-studio", needed=needed)
    models = [file for file in version.files if file.path.lower().endswith(".gguf")]
    if not models:
        raise LayoutNotPossibleException(layout="lm-studio", needed="a file in GGUF")
    lay_out(_View([_Renamed(f"{names[0]}/{file.path.rpartition('/')[2]}", file.size, file.sha256) for file in models]))


def _needed(version: HasFiles, key: str, pattern: re.Pattern[str], layout: str, what: str) -> str:
    value = getattr(version, key, None)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        said = "and it has none" if value is None else f"and not {shown(value)}"
        raise LayoutNotPossibleException(layout=layout, needed=f"{what}, in its {key}, {said}")
    return check_name(value, field=key)
