"""Generates small repositories like well-known ones, with the expected descriptions.

A file is a text, bytes, or a mapping from tensors to their types and shapes, from which safetensors is written. A GGUF
file is given by the type of its tensors and their number of blocks.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import onnx

from tests.hub.models import gguf_companion, gguf_model

__all__ = ["REPOSITORIES", "GGUF", "Companion", "Graph", "Packed", "Row", "write_repository"]

_BITS: Final = {"F32": 32, "F16": 16, "BF16": 16, "I32": 32, "U8": 8, "U32": 32, "F8_E4M3": 8, "I64": 64, "F8_E8M0": 8}


class GGUF(NamedTuple):
    """A GGUF file of blocks of 256 elements (K types), or of 32."""

    kind: str
    blocks: int
    parts: int = 1


class Companion(NamedTuple):
    """A GGUF file that is no model."""

    kind: str


class Graph(NamedTuple):
    """An ONNX file of so many numbers, in the file or beside it."""

    elements: int
    external: bool = False


class Packed(NamedTuple):
    """An ONNX file of a matrix of four bits a number, in blocks of 32."""

    rows: int
    columns: int


Tensors: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
Content: TypeAlias = str | bytes | Tensors | GGUF | Companion | Graph | Packed


class Row(NamedTuple):
    """A repository, and what is to be said of it.

    Attributes:
        name: Of the repository whose shape it has.
        files: Their contents by path.
        default: The name of the default variant; `None` where there is none.
        others: The names of all others, separated by ``|``.
        stored: Stored elements of the default.
        parameters: Of the default.
        format: Of the default.
        task: What it is made for.
        licence: Of its card, or of its file.
        companions: The kinds of what goes with it, but for configurations and tokenizers, separated by ``|``.
    """

    name: str
    files: Mapping[str, Content]
    default: str | None
    others: str = ""
    stored: int | None = None
    parameters: int | None = None
    format: str | None = "safetensors"
    task: str | None = None
    licence: str | None = None
    companions: str = ""


def write_repository(root: Path, row: Row) -> Path:
    """Write the files of a row."""
    for path, content in row.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        _write(root / path, content)
    return root


def _write(path: Path, content: Content) -> None:
    if isinstance(content, GGUF):
        path.write_bytes(gguf_model(path, content.kind, blocks=content.blocks, parts=content.parts))
    elif isinstance(content, Companion):
        gguf_companion(path, content.kind)
    elif isinstance(content, Graph):
        _write_graph(path, content)
    elif isinstance(content, Packed):
        _write_packed(path, content)
    elif isinstance(content, dict):
        _write_safetensors(path, content)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _write_safetensors(path: Path, tensors: Tensors) -> None:
    header, place = dict[str, Any](), 0  # Any: numbers and texts
    for name, (dtype, shape) in tensors.items():
        end = place + int(np.prod(shape)) * _BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(place))


def _write_graph(path: Path, graph: Graph) -> None:
    weights = onnx.numpy_helper.from_array(np.zeros(graph.elements, "f4"), "w")
    output = onnx.helper.make_tensor_value_info("y", 1, [graph.elements])
    node = onnx.helper.make_node("Identity", ["w"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [output], [weights]))
    location = f"{path.name}_data" if graph.external else None
    onnx.save_model(model, str(path), save_as_external_data=graph.external, location=location, size_threshold=0)


def _write_packed(path: Path, matrix: Packed) -> None:
    blocks = matrix.columns // 32
    weights = [
        onnx.numpy_helper.from_array(np.zeros((matrix.rows, blocks, 16), "u1"), "B"),
        onnx.numpy_helper.from_array(np.zeros(matrix.rows * blocks, "f4"), "scales"),
    ]
    node = onnx.helper.make_node("MatMulNBits", ["x", "B", "scales"], ["y"], N=matrix.rows, K=matrix.columns, bits=4)
    onnx.save_model(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [], weights)), str(path))


def _config(architecture: str, kind: str, **more: Any) -> str:  # Any: what configurations hold
    return json.dumps({"architectures": [architecture], "model_type": kind, **more})


def _quantized(method: str, **more: Any) -> str:  # Any: as above
    return _config("LlamaForCausalLM", "llama", quantization_config={"quant_method": method, **more})


def _index(**tensors: str) -> str:
    return json.dumps({"weight_map": tensors})


def _of_one_file(name: str, config: str, task: str | None = None) -> Row:
    """Return a repository of one file of weights, whose configuration tells its task."""
    files: dict[str, Content] = {"model.safetensors": _ONE, "config.json": config}
    return Row(name, files, "model.safetensors", "", 100, 100, task=task)


_ONE: Final[Tensors] = {"a": ("BF16", (10, 10))}
_TWO: Final[Tensors] = {"b": ("BF16", (10, 20))}
_BOTH: Final[Tensors] = {**_ONE, **_TWO}
_LLAMA: Final = _config("LlamaForCausalLM", "llama")
_GPTQ: Final[Tensors] = {
    "q.qweight": ("I32", (8, 64)),
    "q.qzeros": ("I32", (1, 8)),
    "q.scales": ("F16", (1, 64)),
    "q.g_idx": ("I32", (64,)),
}
_MIT: Final = "---\nlicense: mit\n---\n"
_SHARDS: Final[dict[str, Content]] = {
    "model-00001-of-00002.safetensors": _ONE,
    "model-00002-of-00002.safetensors": _TWO,
    "model.safetensors.index.json": _index(a="model-00001-of-00002.safetensors", b="model-00002-of-00002.safetensors"),
}

REPOSITORIES: Final = (
    Row(
        "mistralai/Mistral-7B-v0.3",
        {
            **_SHARDS,
            "consolidated.safetensors": _BOTH,
            "config.json": _config("MistralForCausalLM", "mistral"),
            "README.md": _MIT,
        },
        "model-*.safetensors",
        "consolidated.safetensors",
        300,
        300,
        task="text-generation",
        licence="mit",
    ),
    Row(
        "Qwen/Qwen3-Next, whose index names more than its shards",
        {
            "model-00001-of-00001.safetensors": _ONE,
            "mtp.safetensors": _TWO,
            "model.safetensors.index.json": _index(a="model-00001-of-00001.safetensors", b="mtp.safetensors"),
            "config.json": _config("Qwen3NextForCausalLM", "qwen3_next"),
        },
        "model-*.safetensors",
        "",
        300,
        300,
        task="text-generation",
    ),
    Row(
        "a model with a stale index",
        {"model.safetensors": _ONE, "model.safetensors.index.json": _index(a="model-00001-of-00009.safetensors")},
        "model.safetensors",
        "",
        100,
        100,
    ),
    _of_one_file(
        "Qwen/Qwen2.5-VL-7B-Instruct",
        _config("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", vision_config={}),
        "image-text-to-text",
    ),
    _of_one_file("Qwen/Qwen2.5-Omni-7B", _config("Qwen2_5OmniModel", "qwen2_5_omni", thinker_config={})),
    _of_one_file(
        "Qwen/Qwen2-Audio-7B-Instruct",
        _config("Qwen2AudioForConditionalGeneration", "qwen2_audio", audio_config={}),
        "audio-text-to-text",
    ),
    Row(
        "openai/whisper-tiny",
        {
            "model.safetensors": _ONE,
            "model.fp32-00001-of-00001.safetensors": {"a": ("F32", (10, 10))},
            "model.safetensors.index.fp32.json": _index(a="model.fp32-00001-of-00001.safetensors"),
            "config.json": _config("WhisperForConditionalGeneration", "whisper"),
        },
        "model.safetensors",
        "model.fp32-*.safetensors",
        100,
        100,
        task="automatic-speech-recognition",
    ),
    Row(
        "google-t5/t5-small",
        {
            "model.safetensors": _ONE,
            "config.json": _config("T5ForConditionalGeneration", "t5"),
            "tf_model.h5": b"\x89HDF\r\n\x1a\n" + bytes(range(99)),
        },
        "model.safetensors",
        "tf_model.h5",
        100,
        100,
        task="text2text-generation",
    ),
    _of_one_file("a class that ends as those of many tasks do", _config("NewForConditionalGeneration", "new_one")),
    Row(
        "sentence-transformers/LaBSE",
        {
            "model.safetensors": _ONE,
            "2_Dense/model.safetensors": _TWO,
            "modules.json": "[]",
            "config.json": _config("BertModel", "bert"),
        },
        "model.safetensors",
        "",
        300,
        300,
        task="sentence-similarity",
    ),
    Row(
        "google-bert/bert-base-uncased",
        {"model.safetensors": _ONE, "model.onnx": Graph(50), "config.json": _config("BertForMaskedLM", "bert")},
        "model.safetensors",
        "model.onnx",
        100,
        100,
        task="fill-mask",
    ),
    Row(
        "BAAI/bge-base",
        {"model.safetensors": _ONE, "config.json": _config("BertModel", "bert"), "README.md": _MIT},
        "model.safetensors",
        "",
        100,
        100,
        task="feature-extraction",
        licence="mit",
    ),
    _of_one_file("facebook/wav2vec2-base-960h", _config("Wav2Vec2ForCTC", "wav2vec2"), "automatic-speech-recognition"),
    _of_one_file(
        "superb/wav2vec2-base-superb-ks",
        _config("Wav2Vec2ForSequenceClassification", "wav2vec2"),
        "audio-classification",
    ),
    Row(
        "timm/resnet50.a1_in1k",
        {
            "model.safetensors": _ONE,
            "config.json": '{"architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": {}}',
        },
        "model.safetensors",
        "",
        100,
        100,
        task="image-classification",
    ),
    Row(
        "timm/vit_small_patch14_dinov2",
        {"model.safetensors": _ONE, "config.json": '{"architecture": "vit", "num_classes": 0, "pretrained_cfg": {}}'},
        "model.safetensors",
        "",
        100,
        100,
        task="image-feature-extraction",
    ),
    Row(
        "laion/CLIP-ViT-B-32",
        {"open_clip_model.safetensors": _ONE, "open_clip_config.json": "{}"},
        "open_clip_model.safetensors",
        "",
        100,
        100,
        task="zero-shot-image-classification",
    ),
    _of_one_file(
        "openai/clip-vit-base-patch32", _config("CLIPModel", "clip", vision_config={}), "zero-shot-image-classification"
    ),
    Row(
        "stabilityai/stable-diffusion-xl-base-1.0",
        {
            "model_index.json": '{"_class_name": "StableDiffusionXLPipeline", "unet": ["x", "X"], "vae": ["y", "Y"]}',
            "unet/diffusion_pytorch_model.safetensors": _TWO,
            "unet/diffusion_pytorch_model.fp16.safetensors": {"b": ("F16", (10, 20))},
            "vae/diffusion_pytorch_model.safetensors": _ONE,
            "sd_xl_base_1.0.safetensors": _BOTH,
        },
        "pipeline",
        "pipeline fp16|sd_xl_base_1.0.safetensors",
        300,
        300,
        task="text-to-image",
    ),
    Row(
        "TheBloke/Llama-2-7B-GPTQ, as AutoGPTQ writes it",
        {"gptq_model-4bit-128g.safetensors": _GPTQ, "quantize_config.json": '{"bits": 4}', "config.json": _LLAMA},
        "gptq_model-4bit-128g.safetensors",
        "",
        648,
        4096,
        task="text-generation",
    ),
    Row(
        "TheBloke/Llama-2-7B-AWQ, as AutoAWQ writes it",
        {"model.safetensors": _GPTQ, "quant_config.json": '{"w_bit": 4}', "config.json": _LLAMA},
        "model.safetensors",
        "",
        648,
        4096,
        task="text-generation",
    ),
    Row(
        "GPTQ as transformers writes it",
        {"model.safetensors": _GPTQ, "config.json": _quantized("gptq", bits=4)},
        "model.safetensors",
        "",
        648,
        4096,
        task="text-generation",
    ),
    Row(
        "mlx-community/a model of 4 bits, its scales in the next shard",
        {
            "model-00001-of-00002.safetensors": {"q.weight": ("U32", (64, 8))},
            "model-00002-of-00002.safetensors": {"q.scales": ("F16", (64, 1)), "q.biases": ("F16", (64, 1))},
            "config.json": _config("LlamaForCausalLM", "llama", quantization={"bits": 4, "group_size": 64}),
        },
        "model-*.safetensors",
        "",
        640,
        4096,
        task="text-generation",
    ),
    Row(
        "openai/gpt-oss-20b",
        {
            "model.safetensors": {"e.up_proj_blocks": ("U8", (2, 4, 16)), "e.up_proj_scales": ("U8", (2, 4))},
            "original/model.safetensors": _ONE,
            "metal/model.bin": b"GPT-OSS v1.0\0" + bytes(range(99)),
            "config.json": _config("GptOssForCausalLM", "gpt_oss", quantization_config={"quant_method": "mxfp4"}),
        },
        "model.safetensors",
        "original/model.safetensors|metal/model.bin",
        136,
        256,
        task="text-generation",
    ),
    Row(
        "unsloth/a model of bitsandbytes",
        {
            "model.safetensors": {"q.weight": ("U8", (2048, 1)), "q.weight.absmax": ("U8", (64,))},
            "config.json": _quantized("bitsandbytes", load_in_4bit=True),
        },
        "model.safetensors",
        "",
        2112,
        4096,
        task="text-generation",
    ),
    Row(
        "deepseek-ai/DeepSeek-V3",
        {
            "model-00001-of-000001.safetensors": {
                "q.weight": ("F8_E4M3", (64, 64)),
                "q.weight_scale_inv": ("F32", (1, 1)),
            },
            "config.json": _config("DeepseekV3ForCausalLM", "deepseek_v3", quantization_config={"quant_method": "fp8"}),
        },
        "model-*.safetensors",
        "",
        4097,
        4096,
        task="text-generation",
    ),
    Row(
        "turboderp/a model of EXL2",
        {"output.safetensors": {"q.q_weight": ("I32", (8, 8))}, "config.json": _quantized("exl2", bits=4.5)},
        "output.safetensors",
        "",
        64,
        None,
        task="text-generation",
    ),
    Row(
        "onnx-community/a model of MatMulNBits",
        {"onnx/model_q4.onnx": Packed(8, 64), "onnx/model.onnx": Graph(512)},
        "onnx/model.onnx",
        "onnx/model_q4.onnx",
        512,
        512,
        "onnx",
    ),
    Row(
        "microsoft/Phi-3-mini-4k-instruct-onnx, one variant of it",
        {"cpu-int4/model.onnx": Packed(8, 64), "cpu-int4/genai_config.json": "{}"},
        "cpu-int4",
        "",
        8 * 2 * 16 + 16,
        8 * 64,
        "onnx",
    ),
    Row(
        "bartowski/Llama-3.2-1B-Instruct-GGUF",
        {"m-Q4_K_M.gguf": GGUF("Q4_K", 2), "m-Q8_0.gguf": GGUF("Q8_0", 16), "m.imatrix": b"x", "README.md": _MIT},
        "Q4_K_M",
        "Q8_0",
        512,
        512,
        "gguf",
        licence="mit",
    ),
    Row(
        "ggml-org/gemma-3-4b-it-GGUF",
        {"m-Q4_K_M.gguf": GGUF("Q4_K", 2), "mmproj-model-f16.gguf": Companion("mmproj")},
        "Q4_K_M",
        "",
        512,
        512,
        "gguf",
        companions="projector",
    ),
    Row(
        "a projector, an adapter and a matrix that only their headers tell",
        {
            "m-Q8_0.gguf": GGUF("Q8_0", 16),
            "a.gguf": Companion("mmproj"),
            "b.gguf": Companion("adapter"),
            "c.gguf": Companion("imatrix"),
        },
        "Q8_0",
        "",
        512,
        512,
        "gguf",
        companions="adapter|importance matrix|projector",
    ),
    Row(
        "a split model beside a whole one",
        {
            "m-Q8_0-00001-of-00002.gguf": GGUF("Q8_0", 8, 2),
            "m-Q8_0-00002-of-00002.gguf": GGUF("Q8_0", 8, 2),
            "m-Q2_K.gguf": GGUF("Q2_K", 1),
        },
        "Q8_0",
        "Q2_K",
        512,
        512,
        "gguf",
    ),
    Row(
        "Xenova/all-MiniLM-L6-v2",
        {"onnx/model.onnx": Graph(500), "onnx/model_fp16.onnx": Graph(501), "onnx/model_q4.onnx": Graph(502)},
        "onnx/model.onnx",
        "onnx/model_fp16.onnx|onnx/model_q4.onnx",
        500,
        500,
        "onnx",
    ),
    Row(
        "a graph with its weights beside it",
        {"model.onnx": Graph(1000, external=True)},
        "model.onnx",
        "",
        1000,
        1000,
        "onnx",
    ),
    Row(
        "tloen/alpaca-lora-7b",
        {"adapter_model.safetensors": _ONE, "adapter_config.json": '{"base_model_name_or_path": "org/base"}'},
        None,
        format=None,
        companions="adapter",
    ),
    Row(
        "an adapter of Kohya's, which only its tensors tell",
        {"style.safetensors": {"lora_unet_a.lora_down.weight": ("F16", (4, 4)), "lora_unet_a.alpha": ("F16", (1,))}},
        None,
        format=None,
        companions="adapter",
    ),
    Row(
        "several models",
        {"small.safetensors": _ONE, "large.safetensors": _TWO},
        None,
        "large.safetensors|small.safetensors",
        format=None,
    ),
)
