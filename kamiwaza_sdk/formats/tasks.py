"""Says what a model is made for, as far as its class, its configuration and the files beside it tell.

The words are those of https://huggingface.co/tasks. What is not told is unknown: the class of a language model and that
of one that sees can end alike.
"""

from collections.abc import Container, Mapping
from typing import Final

#: Classes by their whole names, where the ending says too little.
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
#: What a class is made for by how its name ends.
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
#: Models that hear, whose classes end as those of others do.
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
    {
        "albert",
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "eurobert",
        "gte",
        "mpnet",
    }
    | {"modernbert", "new", "nomic_bert", "roberta", "xlm-roberta"}
)
_IMAGE_ENCODERS: Final = frozenset(
    {"beit", "clip_vision_model", "convnext", "dinov2", "dinov3_vit", "siglip_vision_model"}
) | {
    "swin",
    "vit",
}
#: Parts of a configuration that say what else than text a model takes.
_SEES: Final = frozenset({"vision_config", "visual", "vit_config", "vision_tower", "mm_vision_tower", "img_processor"})
_HEARS: Final = frozenset({"audio_config", "audio_encoder", "audio_processor", "speech_config"})
#: Pipelines of Diffusers, by how their names begin, that make an image of a text.
_TEXT_TO_IMAGE: Final = (
    "AuraFlowPipeline",
    "ChromaPipeline",
    "FluxPipeline",
    "HunyuanDiTPipeline",
    "KandinskyPipeline",
    "LatentConsistencyModelPipeline",
    "LuminaPipeline",
    "PixArtAlphaPipeline",
    "PixArtSigmaPipeline",
    "QwenImagePipeline",
    "SanaPipeline",
    "StableCascadeCombinedPipeline",
    "StableDiffusion3Pipeline",
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
)


def find_task(config: Mapping[str, object], pipeline: Mapping[str, object], paths: Container[str]) -> str | None:
    """Return what a model is made for; `None` where it is not told.

    Args:
        config: ``config.json``.
        pipeline: ``model_index.json``.
        paths: Of all files.
    """
    if pipeline.get("_class_name") in _TEXT_TO_IMAGE:
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
