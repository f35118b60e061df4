"""Makes small models, as hubs have them."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import gguf
import numpy as np

__all__ = ["CONFIG", "gguf_companion", "gguf_model", "safetensors_model"]

#: Of a model whose tokens each leave 2 layers x 2 heads x 2 x 16 elements: 256 bytes in F16.
CONFIG = json.dumps(
    {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 64,
        "max_position_embeddings": 4096,
    }
).encode()


def safetensors_model(**tensors: tuple[str, list[int]]) -> bytes:
    """Return a file of tensors of these types and shapes, all zeros: BF16, F16 or F32."""
    header, place = dict[str, Any](), 0  # Any: numbers and texts
    for name, (dtype, shape) in tensors.items():
        end = place + prod(shape) * (4 if dtype == "F32" else 2)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(place)


def gguf_model(path: Path, kind: str = "Q4_K", *, blocks: int = 8, words: int = 10, parts: int = 1) -> bytes:
    """Return a file of one quantized tensor, written by the reference library; its cache is that of `CONFIG`."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"word{number}" for number in range(words)])
    size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][1]
    writer.add_tensor("blk.0", np.zeros((blocks, size), np.uint8), raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def gguf_companion(path: Path, kind: str, *, architecture: str = "clip", length: int = 64) -> bytes:
    """Return a file that says that it is no model, with one square tensor, written by the reference library."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_tensor("v", np.zeros((length, length), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()
