"""The layouts of well-known repositories, with the expected descriptions. Anybody can add a row.

Only the relations of sizes matter. ``{1..3}`` stands for the numbers from 1 to 3, with as many digits as the first.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["LAYOUTS", "Layout", "expand"]


class Layout(NamedTuple):
    """A repository: its files, and what `describe_layout` is to say of them.

    Attributes:
        name: Of the repository whose shape it has.
        files: ``path:size``, separated by white space.
        default: The name of the default variant; empty where there is none.
        others: The names of all other variants, separated by ``|``.
        companions: ``kind:path`` of those that are neither configurations nor tokenizers, separated by ``|``.
        incomplete: The names of the sets of which something is missing, separated by ``|``.
        texts: Contents of small files, by path.
    """

    name: str
    files: str
    default: str
    others: str = ""
    companions: str = ""
    incomplete: str = ""
    texts: Mapping[str, str] = MappingProxyType({})


def expand(files: str) -> Iterator[tuple[str, int]]:
    """Yield each path of a row with its size."""
    for entry in files.split():
        path, _, size = entry.rpartition(":")
        found = re.search(r"\{(\d+)\.\.(\d+)\}", path)
        if found is None:
            yield path, int(size)
            continue
        for number in range(int(found[1]), int(found[2]) + 1):
            yield path.replace(found[0], f"{number:0{len(found[1])}d}"), int(size)


LAYOUTS: Final = (
    Layout(
        "mistralai/Mistral-7B-Instruct-v0.3",
        """consolidated.safetensors:145 model-{00001..00003}-of-00003.safetensors:48 model.safetensors.index.json:0
        tokenizer.model.v3:0 params.json:0""",
        "model-*.safetensors",
        "consolidated.safetensors",
    ),
    Layout(
        "meta-llama/Llama-3.1-8B",
        """model-{00001..00004}-of-00004.safetensors:40 model.safetensors.index.json:0 original/consolidated.00.pth:161
        original/params.json:0 original/tokenizer.model:0""",
        "model-*.safetensors",
        "original/consolidated-*.pth",
    ),
    Layout(
        "openai/gpt-oss-20b",
        """model-{00000..00002}-of-00002.safetensors:46 model.safetensors.index.json:0 original/model.safetensors:138
        original/dtypes.json:0 metal/model.bin:138""",
        "model-*.safetensors",
        "metal/model.bin|original/model.safetensors",
    ),
    Layout(
        "stabilityai/stable-diffusion-xl-base-1.0",
        """sd_xl_base_1.0.safetensors:694 sd_xl_base_1.0_0.9vae.safetensors:694
        unet/diffusion_pytorch_model.safetensors:1027 unet/diffusion_pytorch_model.fp16.safetensors:514
        text_encoder/model.safetensors:49 text_encoder/model.fp16.safetensors:25 text_encoder_2/model.safetensors:278
        text_encoder_2/model.fp16.safetensors:139 vae/diffusion_pytorch_model.safetensors:33
        vae/diffusion_pytorch_model.fp16.safetensors:17 vae_1_0/diffusion_pytorch_model.safetensors:33
        sd_xl_offset_example-lora_1.0.safetensors:5 text_encoder/flax_model.msgpack:49 text_encoder/model.onnx:49
        unet/model.onnx:0 unet/model.onnx_data:1027 unet/openvino_model.bin:1027 unet/openvino_model.xml:1
        model_index.json:0""",
        "pipeline",
        "pipeline fp16|pipeline onnx|pipeline openvino|sd_xl_base_1.0.safetensors|sd_xl_base_1.0_0.9vae.safetensors",
        "adapter:sd_xl_offset_example-lora_1.0.safetensors|vae:vae_1_0/diffusion_pytorch_model.safetensors",
    ),
    Layout(
        "black-forest-labs/FLUX.1-dev",
        """flux1-dev.safetensors:238 ae.safetensors:3
        transformer/diffusion_pytorch_model-{00001..00003}-of-00003.safetensors:79
        transformer/diffusion_pytorch_model.safetensors.index.json:0 vae/diffusion_pytorch_model.safetensors:2
        text_encoder/model.safetensors:2 text_encoder_2/model-{00001..00002}-of-00002.safetensors:48
        text_encoder_2/model.safetensors.index.json:0 model_index.json:0""",
        "pipeline",
        "flux1-dev.safetensors",
        "vae:ae.safetensors",
    ),
    Layout(
        "sentence-transformers/all-MiniLM-L6-v2",
        """model.safetensors:90 pytorch_model.bin:90 tf_model.h5:91 rust_model.ot:90 onnx/model.onnx:90
        onnx/model_O4.onnx:45 onnx/model_qint8_avx512.onnx:23 onnx/model_quint8_avx2.onnx:23
        openvino/openvino_model.bin:90 openvino/openvino_model.xml:0 openvino/openvino_model_qint8_quantized.bin:22
        openvino/openvino_model_qint8_quantized.xml:0 1_Pooling/config.json:0 modules.json:0
        config_sentence_transformers.json:0""",
        "model.safetensors",
        "onnx/model.onnx|onnx/model_O4.onnx|onnx/model_qint8_avx512.onnx|onnx/model_quint8_avx2.onnx"
        "|openvino/openvino_model.bin|openvino/openvino_model_qint8_quantized.bin|pytorch_model.bin|rust_model.ot"
        "|tf_model.h5",
    ),
    Layout(
        "openai/whisper-large-v3",
        """model.safetensors:3087 model.fp32-{00001..00002}-of-00002.safetensors:3086
        model.safetensors.index.fp32.json:0 pytorch_model.bin:3087 pytorch_model.fp32-{00001..00002}-of-00002.bin:3086
        pytorch_model.bin.index.fp32.json:0 flax_model.msgpack:6174""",
        "model.safetensors",
        "flax_model.msgpack|model.fp32-*.safetensors|pytorch_model.bin|pytorch_model.fp32-*.bin",
    ),
    Layout(
        "ggerganov/whisper.cpp",
        """ggml-tiny.bin:78 ggml-tiny-q5_1.bin:32 ggml-base.en.bin:148 ggml-large-v3-turbo.bin:1624
        ggml-tiny-encoder.mlmodelc.zip:15""",
        "",
        "ggml-base.en.bin|ggml-large-v3-turbo.bin|ggml-tiny-q5_1.bin|ggml-tiny.bin",
        "encoder:ggml-tiny-encoder.mlmodelc.zip",
    ),
    Layout(
        "unsloth/DeepSeek-R1-GGUF",
        """DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-{00001..00003}-of-00003.gguf:47
        DeepSeek-R1.BF16/DeepSeek-R1.BF16-{00001..00002}-of-00002.gguf:48""",
        "UD-IQ1_S",
        "BF16",
    ),
    Layout(
        "ggml-org/gemma-3-4b-it-GGUF",
        "gemma-3-4b-it-Q4_K_M.gguf:25 gemma-3-4b-it-Q8_0.gguf:41 gemma-3-4b-it-f16.gguf:78 mmproj-model-f16.gguf:9",
        "Q4_K_M",
        "F16|Q8_0",
        "projector:mmproj-model-f16.gguf",
    ),
    Layout(
        "unsloth/Qwen2.5-VL-7B-Instruct-GGUF",
        """Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf:47 mmproj-BF16.gguf:14 mmproj-F16.gguf:14 mmproj-F32.gguf:27
        imatrix_unsloth.gguf_file:5""",
        "Q4_K_M",
        "",
        "importance matrix:imatrix_unsloth.gguf_file|projector:mmproj-BF16.gguf|projector:mmproj-F16.gguf"
        "|projector:mmproj-F32.gguf",
    ),
    Layout(
        "a conversion with dynamic types and drafts, as llama.cpp tells them apart",
        """mtp-m-Q4_K_M.gguf:2 m-eagle3-Q8_0.gguf:2 m-dflash-Q8_0.gguf:2 dspark-m-Q8_0.gguf:2 m-mtp-Q8_0.gguf:2
        m-IQ1_M.gguf:9 m-UD-Q4_K_M.gguf:47 m-UD-Q8_K_XL.gguf:90""",
        "UD-Q4_K_M",
        "IQ1_M|UD-Q8_K_XL",
        "draft model:m-dflash-Q8_0.gguf|draft model:m-eagle3-Q8_0.gguf|draft model:m-mtp-Q8_0.gguf"
        "|draft model:dspark-m-Q8_0.gguf|draft model:mtp-m-Q4_K_M.gguf",
    ),
    Layout(
        "a conversion with a plain and a dynamic type of one name",
        "m-Q4_K_M.gguf:46 m-Q8_0.gguf:80 m-UD-Q4_K_M.gguf:47",
        "Q4_K_M",
        "Q8_0|UD-Q4_K_M",
    ),
    Layout(
        "mlc-ai/Llama-3-8B-Instruct-q4f16_1-MLC",
        "params_shard_{0..1}.bin:33 ndarray-cache.json:0 tensor-cache.json:0 mlc-chat-config.json:0",
        "params_shard-*.bin",
    ),
    Layout("Systran/faster-whisper-large-v3", "model.bin:3087 vocabulary.json:1 config.json:0", "model.bin"),
    Layout(
        "google-bert/bert-base-uncased",
        """model.safetensors:440 pytorch_model.bin:440 tf_model.h5:536 flax_model.msgpack:438 rust_model.ot:534
        coreml/fill-mask/float32_model.mlpackage/Data/com.apple.CoreML/weights/weight.bin:533
        coreml/fill-mask/float32_model.mlpackage/Data/com.apple.CoreML/model.mlmodel:0
        coreml/fill-mask/float32_model.mlpackage/Manifest.json:0 model.onnx:532""",
        "model.safetensors",
        "coreml/fill-mask/float32_model.mlpackage|flax_model.msgpack|model.onnx|pytorch_model.bin|rust_model.ot|tf_model.h5",
    ),
    Layout(
        "tloen/alpaca-lora-7b",
        "adapter_model.bin:67 adapter_config.json:0",
        "",
        companions="adapter:adapter_model.bin",
        texts={"adapter_config.json": '{"base_model_name_or_path": "decapoda-research/llama-7b-hf"}'},
    ),
    Layout(
        "a repository of two adapters",
        """adapter_config.json:0 adapter_model.safetensors:10 reward/adapter_config.json:0
        reward/adapter_model.safetensors:10 checkpoint-500/adapter_model.safetensors:10
        checkpoint-500/optimizer.pt:20""",
        "",
        companions="adapter:adapter_model.safetensors|adapter:reward/adapter_model.safetensors",
    ),
    Layout(
        "microsoft/Phi-3-mini-4k-instruct-onnx",
        """cuda/cuda-int4-rtn-block-32/phi3-mini-4k-instruct-cuda-int4-rtn-block-32.onnx:1
        cuda/cuda-int4-rtn-block-32/phi3-mini-4k-instruct-cuda-int4-rtn-block-32.onnx.data:22
        cuda/cuda-int4-rtn-block-32/genai_config.json:0 cuda/cuda-fp16/phi3-mini-4k-instruct-cuda-fp16.onnx:1
        cuda/cuda-fp16/phi3-mini-4k-instruct-cuda-fp16.onnx.data:76 cuda/cuda-fp16/genai_config.json:0
        cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/phi3.onnx:1
        cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/phi3.onnx.data:27
        cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4/genai_config.json:0
        directml/directml-int4-awq-block-128/model.onnx:1 directml/directml-int4-awq-block-128/model.onnx.data:22
        directml/directml-int4-awq-block-128/genai_config.json:0 config.json:0""",
        "",
        "cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4|cuda/cuda-fp16|cuda/cuda-int4-rtn-block-32"
        "|directml/directml-int4-awq-block-128",
    ),
    Layout("nvidia/parakeet-tdt-0.6b-v2", "parakeet-tdt-0.6b-v2.nemo:2470", "parakeet-tdt-0.6b-v2.nemo"),
    Layout(
        "BlinkDL/rwkv-4-pile-7b",
        "RWKV-4-Pile-7B-20221115-8047.pth:147 RWKV-4-Pile-7B-20230109-ctx4096.pth:147",
        "",
        "RWKV-4-Pile-7B-20221115-8047.pth|RWKV-4-Pile-7B-20230109-ctx4096.pth",
    ),
    Layout(
        "hexgrad/Kokoro-82M",
        "kokoro-v1_0.pth:33 voices/af_heart.pt:1 voices/am_adam.pt:1",
        "kokoro-v1_0.pth",
        companions="voice:voices/af_heart.pt,voices/am_adam.pt",
    ),
    Layout(
        "deepseek-ai/DeepSeek-V3",
        "model-{00001..00163}-of-000163.safetensors:52 model.safetensors.index.json:0",
        "model-*.safetensors",
    ),
    Layout(
        "THUDM/chatglm-6b-int4",
        "pytorch_model.bin:39 quantization_kernels.c:0 modeling_chatglm.py:0",
        "pytorch_model.bin",
    ),
    Layout(
        "TheBloke/a-model-GPTQ",
        "gptq_model-4bit-128g.safetensors:39 quantize_config.json:0 config.json:0",
        "gptq_model-4bit-128g.safetensors",
    ),
    Layout(
        "a model of AutoAWQ",
        "awq_model_w4_g128.safetensors:39 quant_config.json:0 config.json:0",
        "awq_model_w4_g128.safetensors",
    ),
    Layout(
        "nvidia/a-model-NVFP4",
        """model-{00001..00002}-of-00002.safetensors:40 hf_quant_config.json:0 config.json:0
        model.safetensors.index.json:0""",
        "model-*.safetensors",
    ),
    Layout(
        "Qwen/Qwen2.5-7B-Instruct-GGUF, of which files are missing",
        """qwen2.5-7b-instruct-q4_k_m-{00001..00002}-of-00002.gguf:20 qwen2.5-7b-instruct-q8_0-00001-of-00003.gguf:39
        qwen2.5-7b-instruct-fp16-00001-of-00004.gguf:39""",
        "Q4_K_M",
        incomplete="FP16|Q8_0",
    ),
    Layout(
        "a repository whose pipeline is not whole",
        """model_index.json:0 all.safetensors:9 unet/diffusion_pytorch_model-00001-of-00002.safetensors:4
        vae/diffusion_pytorch_model.safetensors:1""",
        "",
        "all.safetensors",
        incomplete="pipeline",
    ),
    Layout(
        "ultralytics/YOLO11",
        "yolo11n.pt:5 yolo11s.pt:19 yolo11m.pt:40",
        "",
        "yolo11m.pt|yolo11n.pt|yolo11s.pt",
    ),
    Layout(
        "a repository with a file that was cut by hand",
        "m.Q2_K.gguf:2 m.Q8_0.gguf.part1of2:4 m.Q8_0.gguf.part2of2:4 m.F16.gguf-split-a:9",
        "Q2_K",
    ),
    Layout(
        "Xenova/whisper-tiny",
        """onnx/encoder_model.onnx:33 onnx/encoder_model_quantized.onnx:10 onnx/decoder_model_merged.onnx:118
        onnx/decoder_model_merged_quantized.onnx:31 onnx/decoder_model.onnx:118 onnx/decoder_model_quantized.onnx:31
        config.json:0 tokenizer.json:2""",
        "onnx",
        "onnx quantized",
    ),
)
