"""Finds the code that a repository brings, or names in another one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.source import ByteSource, read_json

#: The files that configure a model, whose keys can name code.
CONFIGURATIONS: Final = (
    "config.json",
    "generation_config.json",
    "model_index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
)
#: What transformers and diffusers load classes by: ``module.Class``, or ``other/repository--module.Class``.
_KEYS: Final = ("auto_map", "custom_pipeline", "custom_pipelines")
_LONGEST_NAME: Final = 200
_MOST_NAMES: Final = 5


def remote_code(texts: Mapping[str, bytes], paths: Iterable[str]) -> dict[str, str | None]:
    """Return which code files bring or name, by path; `None` for a configuration that cannot be read."""
    found: dict[str, str | None] = {path: "is code" for path in paths if path.lower().endswith((".py", ".pyc", ".pyx"))}
    for name in CONFIGURATIONS:
        if name in texts:
            try:
                found |= _named(name, texts[name])
            except FormatException:
                found[name] = None
    return dict(sorted(found.items()))


def _named(name: str, text: bytes) -> dict[str, str | None]:
    source = ByteSource(path=name, size=len(text), byte_budget=0, request_budget=0, remote=False)
    named = dict[str, list[str]]()
    pending: list[object] = [read_json(source, text, infinite=True)]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [inside for key, inside in value.items() if key not in _KEYS]
            for key in _KEYS:
                if value.get(key):
                    named.setdefault(key, []).extend(_strings(value[key]))
        elif isinstance(value, list):
            pending += value
    return {name: "names code: " + "; ".join(f"{key} {_shown(names)}" for key, names in named.items())} if named else {}


def _strings(value: object) -> Iterator[str]:
    pending = [value]
    while pending:
        inside = pending.pop()
        if isinstance(inside, str):
            yield inside
        elif isinstance(inside, dict):
            pending += inside.values()
        elif isinstance(inside, list):
            pending += inside


def _shown(names: Iterable[str]) -> str:
    distinct = sorted(set(names))
    more = f" and {len(distinct) - _MOST_NAMES} more" if len(distinct) > _MOST_NAMES else ""
    return ", ".join(name[:_LONGEST_NAME] for name in distinct[:_MOST_NAMES]) + more
