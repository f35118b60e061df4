"""Reads a model's metadata: the head of its card, its task, the code that it brings or names.

PyYAML parses the card, and constructs nothing: tags name no types, and values keep their letters, so that the language
``no`` is not `False`. `huggingface_hub` finds the head at the same place.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.source import read_json_text

if TYPE_CHECKING:
    import yaml


_BLOCK: Final = re.compile(r"\A\s*---(?:\r\n|\r|\n)(.*?)(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)", re.DOTALL)
_LONGEST: Final = 1024**2
_DEEPEST: Final = 64
#: The values that a head may have; each use of an alias counts.
_MOST_VALUES: Final = 100_000
_NULL: Final = {"", "~", "null", "Null", "NULL"}

_Value: TypeAlias = "str | list[_Value] | dict[str, _Value] | None"


def read_front_matter(text: str) -> "Mapping[str, tuple[str, ...]]":
    """Return the texts of each key in the head of a card; nothing where it is no YAML, or exceeds a limit.

    At most 1 MiB, 64 levels and 100,000 values, aliases expanded.
    """
    block = _BLOCK.match(text.removeprefix("\ufeff"))
    return _read(block[1]) if block is not None and len(block[1]) <= _LONGEST else {}


def read_yaml(text: str) -> _Value:
    """Return a document of texts, lists and mappings.

    Raises:
        ValueError: It is no YAML, or has more than 64 levels or 100,000 values, aliases expanded.
    """
    from yaml import YAMLError

    try:
        return _Builder(text).build()
    except YAMLError as error:
        raise ValueError(f"it is no YAML: {str(error)[:200]!a}") from None
    except _TooMuchException:
        raise ValueError(f"it has more than {_MOST_VALUES} values, or is nested too deeply") from None


@lru_cache(maxsize=8)  # a plan calls it several times
def _read(block: str) -> "Mapping[str, tuple[str, ...]]":
    from yaml import YAMLError

    try:
        head = _Builder(block).build()
    except (YAMLError, _TooMuchException):
        return {}
    return MappingProxyType({key: _texts(value) for key, value in head.items()} if isinstance(head, dict) else {})


def _texts(value: _Value) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(text for one in value for text in _texts(one))
    return (value.strip(),) if isinstance(value, str) and value.strip() else ()


class _TooMuchException(Exception):
    """A document exceeds a limit."""


class _Builder:
    """Builds a document from its events, and counts its values with aliases expanded."""

    def __init__(self, text: str) -> None:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._anchors = dict[str, tuple[_Value, int]]()
        self._values = 0

    def build(self) -> _Value:
        import yaml

        content = [e for e in (next(self._events), next(self._events)) if isinstance(e, yaml.DocumentStartEvent)]
        value = self._value(next(self._events), 0) if content else None
        if any(isinstance(event, yaml.DocumentStartEvent) for event in self._events):
            raise _TooMuchException  # of several documents none is the head
        return value

    def _value(self, event: "yaml.Event", depth: int) -> _Value:
        import yaml

        before = self._values
        self._count(1)
        if isinstance(event, yaml.AliasEvent):
            value, size = self._anchors.get(str(event.anchor), (None, 0))
            self._count(size)
            return value
        if depth > _DEEPEST:
            raise _TooMuchException
        value = (
            self._scalar(event)
            if isinstance(event, yaml.ScalarEvent)
            else self._list(depth)
            if isinstance(event, yaml.SequenceStartEvent)
            else self._mapping(depth)
        )
        if event.anchor is not None:  # type: ignore[attr-defined]  # every event of a value has one
            self._anchors[event.anchor] = value, self._values - before  # type: ignore[attr-defined]
        return value

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > _MOST_VALUES:
            raise _TooMuchException

    def _scalar(self, event: "yaml.ScalarEvent") -> str | None:
        return None if event.implicit[0] and event.value in _NULL else str(event.value)

    def _list(self, depth: int) -> _Value:
        import yaml

        found = list[_Value]()
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _mapping(self, depth: int) -> _Value:
        import yaml

        found = dict[str, _Value]()
        merged = dict[str, _Value]()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            is_merge = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<"
            key = self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if is_merge:
                for one in reversed(value if isinstance(value, list) else [value]):
                    merged |= one if isinstance(one, dict) else {}
            elif isinstance(key, str):
                found[key] = value
        return merged | found


#: The tasks of classes whose endings say too little.
_CLASSES: Final = {
    "AltCLIPModel": "zero-shot-image-classification",
    "BarkModel": "text-to-speech",
    "CLIPModel": "zero-shot-image-classification",
    "ChineseCLIPModel": "zero-shot-image-classification",
    "ClapModel": "zero-shot-audio-classification",
    "InternVLChatModel": "image-text-to-text",
    "Siglip2Model": "zero-shot-image-classification",
    "SiglipModel": "zero-shot-image-classification",
    "SpeechT5ForSpeechToText": "automatic-speech-recognition",
    "VitsModel": "text-to-speech",
}
#: The tasks of classes by the ends of their names. The words are those of https://huggingface.co/tasks.
_ENDINGS: Final = {
    "ForAudioClassification": "audio-classification",
    "ForAudioFrameClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForDepthEstimation": "depth-estimation",
    "ForDocumentQuestionAnswering": "document-question-answering",
    "ForImageClassification": "image-classification",
    "ForImageClassificationWithTeacher": "image-classification",
    "ForInstanceSegmentation": "image-segmentation",
    "ForMaskGeneration": "mask-generation",
    "ForMaskedLM": "fill-mask",
    "ForObjectDetection": "object-detection",
    "ForQuestionAnswering": "question-answering",
    "ForSemanticSegmentation": "image-segmentation",
    "ForSequenceClassification": "text-classification",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForTableQuestionAnswering": "table-question-answering",
    "ForTextToSpeech": "text-to-speech",
    "ForTokenClassification": "token-classification",
    "ForUniversalSegmentation": "image-segmentation",
    "ForVideoClassification": "video-classification",
    "ForVisualQuestionAnswering": "visual-question-answering",
    "ForZeroShotImageClassification": "zero-shot-image-classification",
    "ForZeroShotObjectDetection": "zero-shot-object-detection",
}
_GENERATING: Final = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel", "ForSeq2SeqLM")
#: Models of speech, whose classes end like those of others.
_SPEECH_TO_TEXT: Final = frozenset({"moonshine", "seamless_m4t", "speech_to_text", "whisper"})
_AUDIO: Final = frozenset({"data2vec-audio", "hubert", "sew", "unispeech", "wav2vec2", "wav2vec2-bert", "wavlm"})
_MUSIC: Final = frozenset({"musicgen", "musicgen_melody"})
#: Models that read a text and write another: https://huggingface.co/docs/transformers/model_doc/t5.
_TEXT_TO_TEXT: Final = frozenset(
    {"bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "fsmt", "led", "longt5", "m2m_100", "marian", "mbart"}
    | {"mt5", "mvp", "nllb-moe", "pegasus", "pegasus_x", "plbart", "prophetnet", "switch_transformers", "t5", "umt5"}
)
#: Encoders, whose plain class gives a vector for each token.
_TEXT_ENCODERS: Final = frozenset(
    {"albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert", "gte"}
    | {"modernbert", "mpnet", "new", "nomic_bert", "roberta", "xlm-roberta"}
)
_IMAGE_ENCODERS: Final = frozenset(
    {"beit", "clip_vision_model", "convnext", "dinov2", "dinov3_vit", "siglip_vision_model", "swin", "vit"}
)
#: The parts of a configuration for images, and for sound.
_SEES: Final = frozenset({"vision_config", "visual", "vit_config", "vision_tower", "mm_vision_tower", "img_processor"})
_HEARS: Final = frozenset({"audio_config", "audio_encoder", "audio_processor", "speech_config"})
#: The classes of Diffusers that make an image from a text.
_TEXT_TO_IMAGE: Final = frozenset(
    {"AuraFlowPipeline", "ChromaPipeline", "FluxPipeline", "HunyuanDiTPipeline", "KandinskyPipeline", "LuminaPipeline"}
    | {"LatentConsistencyModelPipeline", "PixArtAlphaPipeline", "PixArtSigmaPipeline", "QwenImagePipeline"}
    | {"SanaPipeline", "StableCascadeCombinedPipeline", "StableDiffusion3Pipeline", "StableDiffusionPipeline"}
    | {"StableDiffusionXLPipeline"}
)


def find_task(config: Mapping[str, object], pipeline: Mapping[str, object], paths: Container[str]) -> str | None:
    """Return the task of a model by its class, its configuration and the files beside it; `None` if they do not tell.

    Args:
        config: ``config.json``.
        pipeline: ``model_index.json``.
        paths: Of all files.
    """
    if str(pipeline.get("_class_name")) in _TEXT_TO_IMAGE:
        return "text-to-image"
    if "open_clip_config.json" in paths:
        return "zero-shot-image-classification"
    if isinstance(config.get("pretrained_cfg"), dict):  # timm
        classes = config.get("num_classes")
        return None if type(classes) is not int else "image-classification" if classes else "image-feature-extraction"
    names = config.get("architectures")
    name = next((one for one in names if isinstance(one, str)), "") if isinstance(names, list) else ""
    return _of_class(name, config, paths) if name else None


def _of_class(name: str, config: Mapping[str, object], paths: Container[str]) -> str | None:
    kind = str(config.get("model_type"))
    if name in _CLASSES:
        return _CLASSES[name]
    if name.endswith("ForSequenceClassification") and kind in _AUDIO:
        return "audio-classification"
    task = next((task for end, task in _ENDINGS.items() if name.endswith(end)), None)
    if task is not None:
        return task
    if name.endswith(_GENERATING):
        return _generating(name, kind, config)
    if name.endswith("Model"):
        return _encoding(kind, paths)
    return None


def _generating(name: str, kind: str, config: Mapping[str, object]) -> str | None:
    if kind in _SPEECH_TO_TEXT:
        return "automatic-speech-recognition"
    if kind in _MUSIC:
        return "text-to-audio"
    sees, hears = bool(config.keys() & _SEES), bool(config.keys() & _HEARS)
    if "thinker_config" in config or (sees and hears):
        return "any-to-any"
    if sees or hears:
        return "image-text-to-text" if sees else "audio-text-to-text"
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return "text-generation"
    return "text2text-generation" if kind in _TEXT_TO_TEXT else None


def _encoding(kind: str, paths: Container[str]) -> str | None:
    if "modules.json" in paths:
        return "sentence-similarity"
    if kind in _IMAGE_ENCODERS:
        return "image-feature-extraction"
    return "feature-extraction" if kind in _TEXT_ENCODERS or kind in _AUDIO else None


#: The files that configure a model, whose keys can name code.
CONFIGURATIONS: Final = (
    "config.json",
    "generation_config.json",
    "model_index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
)
#: The keys by which transformers and diffusers load classes: ``module.Class``, or ``other/repository--module.Class``.
_KEYS: Final = ("auto_map", "custom_pipeline", "custom_pipelines")
_LONGEST_CLASS_NAME: Final = 200
_MOST_NAMES: Final = 5


def remote_code(texts: Mapping[str, bytes], paths: Iterable[str]) -> dict[str, str | None]:
    """Return the files with code, and the configurations that name some, by path; `None` of an unreadable one."""
    found: dict[str, str | None] = {path: "is code" for path in paths if path.lower().endswith((".py", ".pyc", ".pyx"))}
    for name in CONFIGURATIONS:
        if name in texts:
            try:
                found |= _named(name, texts[name])
            except FormatException:
                found[name] = None
    return dict(sorted(found.items()))


def _named(name: str, text: bytes) -> dict[str, str | None]:
    named = dict[str, list[str]]()
    pending: list[object] = [read_json_text(text, path=name, infinite=True)]
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
    return ", ".join(name[:_LONGEST_CLASS_NAME] for name in distinct[:_MOST_NAMES]) + more
