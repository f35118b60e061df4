"""Says what a model is by all of its files: configuration, tokenizer, README, licence, weights."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from kamiwaza_sdk.formats._front_matter import read_front_matter
from kamiwaza_sdk.formats._json import read_json
from kamiwaza_sdk.formats._kinds import kind_of_head
from kamiwaza_sdk.formats._licences import LONGEST, is_licence_file, joined, recognise_licence
from kamiwaza_sdk.formats._remote_code import remote_code
from kamiwaza_sdk.formats._source import ByteSource
from kamiwaza_sdk.formats.attention.config import config_attention, text_configuration
from kamiwaza_sdk.formats.exceptions import FormatLimitException, UnknownFormatException
from kamiwaza_sdk.formats.inspection import FormatSchema, detect_format
from kamiwaza_sdk.formats.layouts.names import weight_format
from kamiwaza_sdk.formats.looking import Looking
from kamiwaza_sdk.formats.schemas import (
    GGUFSchema,
    ONNXSchema,
    OtherFileSchema,
    PickleSchema,
    SafetensorsSchema,
    TensorTable,
)
from kamiwaza_sdk.formats.schemas.repository import RepositoryDetailsSchema
from kamiwaza_sdk.formats.sharded import INDEX, ShardIndex

__all__ = ["DESCRIBING_FILES", "describe_repository", "describing_files", "inspect_directory", "read_describing"]

#: The small files that `describe_repository` reads, in the root of a repository; besides, what is called as licences
#: are: ``LICENCE``, ``license.txt``, ``COPYING``, ``LICENSE-MODEL``, ``USE_POLICY.md``.
DESCRIBING_FILES: Final = (
    "README.md",
    "config.json",
    "generation_config.json",
    "model_index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
)
#: A larger one is no such file.
MAX_TEXT: Final = 4 * 1024**2
MAX_FILES: Final = 10_000
#: How much of a file tells weights that are called otherwise.
_HEAD: Final = 4096
#: How many licences are read, and how many bytes of each: more than have as many letters as the longest.
_MOST_LICENCES: Final = 32
_LICENCE_HEAD: Final = 4 * LONGEST + 4
#: What a GGUF file says that is not there.
_SILENT: Final = GGUFSchema(
    size=0, version=3, byte_order="little", tensors=TensorTable({}), parameters_by_dtype={}, metadata={}
)
#: What a class is made for, by how its name ends, longest first.
_TASKS: Final = {
    "ForConditionalGeneration": "text2text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForImageClassification": "image-classification",
    "ForQuestionAnswering": "question-answering",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForMaskedLM": "fill-mask",
    "ForCTC": "automatic-speech-recognition",
}


def inspect_directory(directory: str | os.PathLike[str]) -> RepositoryDetailsSchema:
    """Return what a model's files in a directory say about it together.

    It reads the headers of every file of weights in it and below, of files that are one under many names once: in
    asyncio, call it in a thread. Links to files are followed, for caches consist of them; links to directories are not.
    All files share one budget: those that are beyond it are in ``problems``, and no parameters are counted then.

    Args:
        directory: As a hub lays a repository out: ``config.json``, ``README.md`` and the like in it.

    Returns:
        What was found, each part empty where nothing says it.

    Raises:
        MalformedFileException: A file is not what its format demands, or an index does not fit its shards.
        FormatLimitException: A text or an index is too long, or there are over 10,000 files.
        OSError: It is no directory, or something in it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("config.json").write_text('{"architectures": ["BertForMaskedLM"], "model_type": "bert"}')
        >>> inspect_directory(".").task
        'fill-mask'
    """
    root = Path(directory)
    paths = {path.relative_to(root).as_posix(): path for path in _files(root)}
    describing = describing_files(paths)
    texts = {name: _checked(path, read_describing(path, name)) for name, path in paths.items() if name in describing}
    indexes = _Indexes({name: _read(path) for name, path in paths.items() if name.endswith(INDEX)})
    looking = Looking()
    files = dict[str, FormatSchema]()
    problems = dict[str, str]()
    for name, path in paths.items():
        if not name.endswith(INDEX) and name not in describing and (weight_format(name, paths) or _has_weights(path)):
            try:
                files[name] = looking.look(path, name=name, check=indexes.check_of(name))
            except FormatLimitException as error:
                problems[name] = error.reason
            except UnknownFormatException:
                continue  # .bin is what many other things are called
    indexes.check_names({*files, *problems})
    details = describe_repository(texts, files, path=str(root), paths=paths)
    if not problems:
        return details
    return details.model_copy(update={"problems": problems, "parameters": None, "parameters_by_dtype": {}})


def describing_files(paths: Iterable[str]) -> frozenset[str]:
    """Return those of the files whose texts say what a repository is: of licences, the first 32 by name."""
    given = set(paths)
    licences = sorted(path for path in given if is_licence_file(path) and path not in DESCRIBING_FILES)
    return frozenset([*given.intersection(DESCRIBING_FILES), *licences[:_MOST_LICENCES]])


def read_describing(path: Path, name: str) -> bytes:
    """Return such a text as far as one goes, and one byte more; a licence that is longer is none. Blocks."""
    with path.open("rb") as file:
        return file.read(_LICENCE_HEAD if is_licence_file(name) else MAX_TEXT + 1)


class _Indexes:
    """The indexes of a directory, which its shards are checked against."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._indexes = [(PurePosixPath(name).parent, ShardIndex(text, path=name)) for name, text in texts.items()]

    def check_of(self, path: str) -> Callable[[FormatSchema], None] | None:
        """Return what refuses a shard that does not fit an index beside it; `None` where none names it."""
        place = PurePosixPath(path)
        concerned = [index for folder, index in self._indexes if folder == place.parent and place.name in index.names]
        if not concerned:
            return None

        def check(schema: FormatSchema) -> None:
            for index in concerned:
                if not isinstance(schema, SafetensorsSchema):
                    index.check_names(())
                else:
                    index.check(place.name, schema)

        return check

    def check_names(self, paths: Iterable[str]) -> None:
        """Refuse an index that names a shard that is not there."""
        places = [PurePosixPath(path) for path in paths]
        for folder, index in self._indexes:
            index.check_names({place.name for place in places if place.parent == folder})


def _refuse(error: OSError) -> NoReturn:
    raise error


def _has_weights(path: Path) -> bool:
    """Whether a file begins as weights do, whatever it is called."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = kind_of_head(head)
    return detect_format(head) in {"safetensors", "gguf", "onnx"} or (kind is not None and kind.is_weights)


def _files(root: Path) -> list[Path]:
    found = list[Path]()
    for folder, _, names in os.walk(root, onerror=_refuse):
        found += [path for name in names if (path := Path(folder, name)).is_file()]
        if len(found) > MAX_FILES:
            reason = f"more than {MAX_FILES} files are in it; inspect the directory of one model"
            raise FormatLimitException(path=str(root), reason=reason, limit=MAX_FILES)
    return sorted(found)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return _checked(path, file.read(MAX_TEXT + 1))


def _checked(path: Path, text: bytes) -> bytes:
    _check_length(str(path), text)
    return text


def _check_length(path: str, text: bytes) -> None:
    if len(text) > MAX_TEXT:
        reason = f"it has more than {MAX_TEXT} bytes; that is no ordinary description"
        raise FormatLimitException(path=path, reason=reason, limit=MAX_TEXT)


def describe_repository(
    texts: Mapping[str, bytes], files: Mapping[str, FormatSchema], *, path: str = "", paths: Iterable[str] = ()
) -> RepositoryDetailsSchema:
    r"""Return what texts and headers say about a model together, wherever they were read.

    Args:
        texts: The contents of those of `DESCRIBING_FILES` that there are, and of licences, by name.
        files: What the files of weights say, by path.
        path: The repository, for messages.
        paths: Of all its files, which tell the code among them.

    Returns:
        What was found. The sums are of the safetensors files where there are any, else of GGUF, of ONNX, of pickles,
        for several formats are several copies of one model.

    Raises:
        MalformedFileException: A text is no JSON that should be.
        FormatLimitException: A text is longer than 4 MiB, or unfolds to too much.

    Example:
        >>> card = b"---\nlicense: mit\nlanguage:\n- en\n- de\n---\n# A model\n"
        >>> described = describe_repository({"README.md": card}, {})
        >>> described.license, described.languages
        ('mit', ('en', 'de'))
    """
    config = _json(path, texts, "config.json")
    tokenizer = _json(path, texts, "tokenizer_config.json")
    card = read_front_matter(texts.get("README.md", b"").decode(errors="replace"))
    licences = (
        recognise_licence(texts[name].decode(errors="replace")) for name in sorted(texts) if is_licence_file(name)
    )
    gguf = next((schema for schema in files.values() if isinstance(schema, GGUFSchema)), _SILENT)
    architecture = _architecture(config) or gguf.architecture
    inner = text_configuration(config)
    chosen = _chosen(files.values())
    totals = Counter[str]()
    if all(getattr(schema, "parameters_by_dtype", None) is not None for schema in chosen):  # a sum of all, or none
        for schema in chosen:
            totals.update(getattr(schema, "parameters_by_dtype", None) or {})
    return RepositoryDetailsSchema(
        size=sum(schema.size for schema in chosen),
        formats=tuple(sorted({schema.format for schema in files.values() if getattr(schema, "is_weights", True)})),
        architecture=architecture,
        model_type=_text(config, "model_type"),
        task=_first(card, "pipeline_tag") or _task(architecture),
        languages=card.get("language", ()),
        license=joined(card.get("license", ()), filter(None, licences)) or gguf.license,
        library=_first(card, "library_name"),
        base_models=card.get("base_model", ()),
        tags=card.get("tags", ()),
        context_length=_number(inner, "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
        or gguf.context_length,
        vocabulary_size=_number(inner, "vocab_size"),
        tokenizer=_text(tokenizer, "tokenizer_class") or gguf.tokenizer,
        has_chat_template=bool(tokenizer.get("chat_template"))
        or "chat_template.jinja" in texts
        or gguf.has_chat_template,
        dtype=_text(inner, "torch_dtype") or _text(inner, "dtype"),
        quantization=_quantization(config) or gguf.quantization,
        parameters=totals.total() or None,
        parameters_by_dtype=dict(sorted(totals.items())),
        attention=config_attention(config) or gguf.attention,
        remote_code={name: what for name, what in remote_code(texts, paths).items() if what is not None},
        verdicts={name: verdict for name, schema in files.items() if (verdict := getattr(schema, "verdict", None))},
    )


def _chosen(files: Iterable[FormatSchema]) -> Sequence[FormatSchema]:
    """Return the files of one format: of the first that there is."""
    for kind in (SafetensorsSchema, GGUFSchema, ONNXSchema, PickleSchema):
        if found := [schema for schema in files if isinstance(schema, kind)]:
            # Each GGUF file is a whole model, but for those that say that they are split.
            split = kind is not GGUFSchema or any("split.count" in getattr(schema, "metadata", ()) for schema in found)
            return found if split else found[:1]
    others = [schema for schema in files if isinstance(schema, OtherFileSchema) and schema.is_weights]
    return [schema for schema in others if schema.format == min(other.format for other in others)]


def _json(path: str, texts: Mapping[str, bytes], name: str) -> dict[str, object]:
    text = texts.get(name)
    if text is None:
        return {}
    _check_length(name, text)
    place = f"{path}/{name}" if path else name
    source = ByteSource(path=place, size=len(text), byte_budget=0, request_budget=0, remote=False)
    return read_json(source, text)


def _text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def _number(values: Mapping[str, object], *keys: str) -> int | None:
    return next((value for key in keys if type(value := values.get(key)) is int), None)


def _first(card: Mapping[str, tuple[str, ...]], key: str) -> str | None:
    return next(iter(card.get(key, ())), None)


def _architecture(config: Mapping[str, object]) -> str | None:
    names = config.get("architectures")
    return next((name for name in names if isinstance(name, str)), None) if isinstance(names, list) else None


def _task(architecture: str | None) -> str | None:
    return next((task for end, task in _TASKS.items() if (architecture or "").endswith(end)), None)


def _quantization(config: Mapping[str, object]) -> str | None:
    settings = config.get("quantization_config")
    return _text(settings, "quant_method") if isinstance(settings, dict) else None
