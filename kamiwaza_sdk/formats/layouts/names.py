"""The meaning of file names: the role, the format, and the place in a set of shards."""

import re
from collections.abc import Container, Iterable, Iterator, Set
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.schemas.repository import CompanionKind

#: The formats of weights by ending. ``.bin`` and ``.data`` say nothing by themselves.
ENDINGS: Final = {
    ".bin": "pickle",
    ".ckpt": "pickle",
    ".engine": "tensorrt",
    ".gguf": "gguf",
    ".h5": "keras",
    ".hdf5": "keras",
    ".joblib": "pickle",
    ".keras": "keras",
    ".mlmodel": "coreml",
    ".msgpack": "flax",
    ".nemo": "nemo",
    ".npz": "numpy",
    ".onnx": "onnx",
    ".ot": "rust",
    ".pickle": "pickle",
    ".pkl": "pickle",
    ".plan": "tensorrt",
    ".pt": "pickle",
    ".pt2": "pt2",
    ".pte": "executorch",
    ".pth": "pickle",
    ".safetensors": "safetensors",
    ".sft": "safetensors",
    ".skops": "skops",
    ".tflite": "tflite",
}
#: A set of shards as Transformers, llama.cpp and others number it; the total mostly has five digits.
_SHARD: Final = re.compile(r"(?P<stem>.+?)[-_.](?P<number>\d{4,6})[-_]of[-_](?P<total>\d{4,6})(?P<rest>(?:\.[^.]+)*)")
#: Shards that only have a number: Meta's ``consolidated.00.pth``, MLC's ``params_shard_0.bin``.
_ONLY_NUMBERED: Final = ("consolidated", "params_shard")
_NUMBERED: Final = re.compile(rf"(?P<stem>{'|'.join(_ONLY_NUMBERED)})[._](?P<number>\d{{1,5}})")
#: Files of a training: https://huggingface.co/docs/transformers/main_classes/trainer, and DeepSpeed's states.
_STATE: Final = re.compile(
    r"(?:optimizer|optim|scheduler|scaler|training_args|trainer_state|rng_state(?:_\d+)?|random_states_\d+"
    r"|zero_pp_rank_.*|mp_rank_.*_(?:model|optim)_states|bf16_zero_pp_rank_.*|events\.out\.tfevents\..*)(?:\..*)?"
)
_CHECKPOINT: Final = re.compile(r"(?:^|/)(?:checkpoint|global_step|epoch|step)[-_]?\d+/")
#: Files that were split by hand, which nothing loads: ``.part1of2``, ``-split-a``, ``.gguf.part-aa``.
_CUT: Final = re.compile(r"[.-](?:part\d+of\d+|part[-_.]?(?:\d{1,3}|[a-z]{1,2})|split-[a-z]{1,2})$", re.IGNORECASE)
#: The types of llama.cpp in names of files, with the mark of dynamic quantization.
_TYPE: Final = re.compile(
    r"(?:^|[^a-z0-9])((?:ud-)?(?:iq\d|tq\d|q\d|mxfp\d|nvfp\d)(?:_[a-z0-9]+)*|bf16|fp?16|fp?32)(?=$|[^a-z0-9_])",
    re.IGNORECASE,
)
#: The marks of Optimum, Transformers.js and sentence-transformers for conversions of one ONNX graph.
_ONNX_SUFFIX: Final = re.compile(
    r"_(fp16|fp32|int8|uint8|int4|q4|q4f16|q8|bnb4|quantized|optimized|O[1-4]|q(?:u)?int8(?:_\w+)?)$"
)
_TOKENIZERS: Final = re.compile(
    r"(?:tokenizer(?:_config)?\.json|tokenizer\.model(?:\.v\d+)?|tekken\.json|special_tokens_map\.json|added_tokens\.json"
    r"|vocab(?:ulary)?\.(?:json|txt|bpe)|merges\.txt|(?:spiece|sentencepiece(?:\.bpe)?|source|target)\.(?:model|spm)"
    r"|.*\.tiktoken|chat_template\.(?:jinja|json)|openvino_(?:de)?tokenizer\.(?:xml|bin))"
)
_CONFIGS: Final = re.compile(
    r"(?:.*config.*|params|.*\.index(?:\.[^.]+)?|model_index|modules|mlc-chat-.*|ndarray-cache.*|tensor-cache.*|dtypes"
    r"|.*args)\.(?:json|ya?ml)"
)
#: The name that adapters of an Ollama image get here.
_OLLAMA_ADAPTER: Final = re.compile(r"adapter(?:-\d+)?\.gguf")
#: The files that llama.cpp takes for no model: ``gguf_filename_is_model`` in
#: https://github.com/ggml-org/llama.cpp/blob/master/common/download.cpp.
_DRAFT: Final = re.compile(r"mtp-|eagle3-|dflash-|dspark-")
_LORA: Final = re.compile(r"(?:^|[-_.])lora(?:[-_.]|$)")
_MOST_SHOWN: Final = 20


class Shard(NamedTuple):
    """The place of a file in a set."""

    number: int
    total: int | None


class Stem(NamedTuple):
    """The parts of a file name.

    Attributes:
        folder: Empty for the root.
        name: Without its ending and its place in a set of shards.
        ending: With its dot, in lower case.
        shard: Its place in a set, if it has one.
    """

    folder: str
    name: str
    ending: str
    shard: Shard | None

    @property
    def label(self) -> str:
        """The path that all shards of the set share."""
        return f"{self.folder}/{self.name}{self.ending}" if self.folder else f"{self.name}{self.ending}"


@lru_cache(maxsize=16_384)  # as for the stem
def suffix_of(path: str) -> str:
    """Return the ending of a file's name, in lower case and with its dot, as `PurePosixPath.suffix` does slowly."""
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    return f".{ending.lower()}" if dot and name and ending else ""


@lru_cache(maxsize=16_384)  # enough for the files of a model, each of which is parsed several times
def parse_stem(path: str) -> Stem:
    """Return the parts of a file name."""
    folder, _, whole = path.rpartition("/")
    name, dot, ending = whole.rpartition(".")
    name, ending = (name, dot + ending.lower()) if name and ending else (whole, "")
    if "of" in name and (found := _SHARD.fullmatch(name)):
        shard = Shard(int(found["number"]), int(found["total"]))
        return Stem(folder, found["stem"] + found["rest"], ending, shard)
    if name.startswith(_ONLY_NUMBERED) and (found := _NUMBERED.fullmatch(name)):
        return Stem(folder, found["stem"], ending, Shard(int(found["number"]), None))
    return Stem(folder, name, ending, None)


def missing_shards(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the first missing shards of a set; none where it is complete.

    The first is numbered 0 or 1. Where it is 0, the total may be the number of the last one.
    """
    shards = {shard.number: path for path in paths if (shard := parse_stem(path).shard) is not None}
    if not shards:
        return ()
    shard = parse_stem(next(iter(shards.values()))).shard
    declared = shard.total if shard is not None else None
    first = 0 if 0 in shards or declared is None else 1
    total = max(shards) if declared is None else declared
    last = total if first == 1 or total in shards else total - 1
    missing = (number for number in range(first, last + 1) if number not in shards)
    example = next(iter(shards.items()))
    return tuple(_renumbered(example, number) for number in islice(missing, _MOST_SHOWN))


def _renumbered(example: tuple[int, str], number: int) -> str:
    """Return the path of another shard of the same set."""
    old, path = example
    head, _, name = path.rpartition("/")
    for width in (6, 5, 4, 3, 2, 1):
        place = name.find(f"{old:0{width}d}")
        if place >= 0:
            renamed = name[:place] + f"{number:0{width}d}" + name[place + width :]
            return f"{head}/{renamed}" if head else renamed
    return path


def weight_format(path: str, names: Container[str]) -> str | None:
    """Return the format of weights by the name of a file and of its neighbours; `None` for other files.

    Args:
        path: The file.
        names: All paths of the repository, for ``.bin`` depends on neighbours.
    """
    if ".mlpackage/" in path or ".mlmodelc/" in path:
        return "coreml"
    ending = suffix_of(path)
    return _bin_format(parse_stem(path), names) if ending == ".bin" else ENDINGS.get(ending)


def _bin_format(stem: Stem, names: Container[str]) -> str:
    beside = f"{stem.folder}/" if stem.folder else ""
    if f"{beside}{stem.name}.xml" in names:
        return "openvino"
    if stem.name == "params_shard":
        return "mlc"
    if stem.name.startswith("ggml-"):
        return "ggml"
    if stem.name == "model" and any(f"{beside}vocabulary.{kind}" in names for kind in ("json", "txt")):
        return "ctranslate2"
    return "pickle"


#: Texts that are in every name, in lower case, of which the functions below say something; ``/`` is before each name.
_MARKS: Final = (
    *("/optim", "/scheduler", "/scaler", "/training_args", "/trainer_state", "/rng_state", "/random_states_"),
    *("/zero_pp_rank_", "/mp_rank_", "/bf16_zero_pp_rank_", "/events.out."),
    *("/checkpoint", "/global_step", "/epoch", "/step", ".part", "-part", ".split-", "-split-"),
    *("imatrix", "mmproj", "draft-", "mtp-", "eagle3-", "dflash-", "dspark-", "adapter", "lora", "voices"),
    *("/ae.", "vae", ".mlmodelc.zip", "tokenizer", "/tekken", "/special_tokens", "/added_tokens", "/vocab"),
    *("/merges", "/spiece", "/sentencepiece", "/source.", "/target.", ".tiktoken", "/chat_template", "config"),
    *("/params.", ".index", "/model_index", "/modules", "/mlc-chat-", "/ndarray-cache", "/tensor-cache"),
    *("/dtypes", "args."),
)


def telling_names(paths: Iterable[str]) -> Set[str]:
    """Return those of many paths that may be states of a training, pieces of a file, or companions, by their names."""
    return with_marks(paths, _MARKS)


def with_marks(paths: Iterable[str], marks: Iterable[str]) -> Set[str]:
    """Return those of many paths that contain one of the marks, or more of them.

    To look for each mark in all paths at once takes a tenth of the time that a pattern takes for each path.

    Args:
        paths: The paths.
        marks: In lower case; ``/`` is before each segment, the first one too.
    """
    several = [*paths]
    whole = "\n/".join(("", *several, ""))
    if not whole.isascii() or whole.count("\n") > len(several) + 1:
        return frozenset(several)  # in lower case, such a text may be longer; or a path has a line break
    lower, found = whole.lower(), set[str]()
    for mark in marks:
        place = lower.find(mark)
        while place >= 0:
            begin, end = lower.rfind("\n", 0, place + 1), lower.find("\n", place + 1)
            found.add(whole[begin + 2 : end])
            place = lower.find(mark, end)
    return found


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def is_training_state(path: str) -> bool:
    """Return whether only the continuation of a training needs a file."""
    return bool(_STATE.fullmatch(_name(path)))


def in_checkpoint(path: str) -> bool:
    """Return whether a file is in the folder of a checkpoint."""
    return _CHECKPOINT.search(path) is not None


def is_cut_by_hand(path: str) -> bool:
    """Return whether a file is a piece of another, which nothing loads before they are joined."""
    return bool(_CUT.search(_name(path)))


def companion_kind(path: str) -> CompanionKind | None:
    """Return the kind of a companion by its name; `None` for other files."""
    name = _name(path).lower()
    loaded = _loaded_kinds(path, name) if parse_stem(path).ending in ENDINGS else iter(())
    return next(loaded, None) or next(_other_kinds(name), None)


def _loaded_kinds(path: str, name: str) -> Iterator[CompanionKind]:
    """Yield the kinds of companions that a file with the ending of weights can be."""
    folders = path.split("/")[:-1]
    if "imatrix" in name and name.endswith(".gguf"):
        yield "importance matrix"
    if name.endswith(".gguf") and "mmproj" in name:
        yield "projector"
    if name.endswith(".gguf") and (name.startswith("draft-") or _DRAFT.search(name)):
        yield "draft model"
    if _OLLAMA_ADAPTER.fullmatch(name) or name.startswith("adapter_model.") or ("lora" in name and _LORA.search(name)):
        yield "adapter"
    if "voices" in folders or name in {"voices.bin", "voices.npz"}:
        yield "voice"
    if name.startswith(("ae.", "vae.")) or any(part.startswith("vae_") for part in folders):
        yield "vae"


def _other_kinds(name: str) -> Iterator[CompanionKind]:
    if "imatrix" in name and name.endswith((".gguf_file", ".dat")):
        yield "importance matrix"
    if name.startswith("adapter_model."):
        yield "adapter"
    if name.endswith(".mlmodelc.zip"):
        yield "encoder"
    if _TOKENIZERS.fullmatch(name):
        yield "tokenizer"
    if _CONFIGS.fullmatch(name):
        yield "config"


def gguf_type(label: str) -> str | None:
    """Return the last type in the name of a GGUF file, or of its folder, in capitals."""
    found = _TYPE.findall(label)
    return found[-1].upper() if found else None


def onnx_suffix(name: str) -> tuple[str, str]:
    """Return the name of an ONNX graph without the mark of its conversion, and that mark."""
    found = _ONNX_SUFFIX.search(name)
    return (name[: found.start()], found[1]) if found else (name, "")
