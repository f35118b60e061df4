"""A hub with repositories of 1,000 files, in a process of its own.

Usage: ``python -m tests.benchmarks.serve_hub COUNT`` prints its endpoint, and serves so many repositories of each kind,
``samples/0`` and ``shards/0`` being the first, and ``pickles/0``, until its standard input ends. No two of them have
many files of one name: whoever keeps what names mean has to find out anew.
"""

import json
import sys
from typing import Final

from kamiwaza_sdk.testing import HuggingFaceServer

FILES: Final = 1000
SHARDS: Final = 990
#: What both kinds have.
CONFIG: Final = json.dumps(
    {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    | {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 2048}
).encode()


def tensors(name: str) -> bytes:
    """Return a safetensors file of one tensor."""
    header = json.dumps({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


def samples(number: int) -> dict[str, bytes]:
    """Return a model among many small files, as audio and datasets are published."""
    files = {f"samples-{number}/{index:04}.txt": b"%d %d" % (number, index) for index in range(FILES - 2)}
    return {**files, "config.json": CONFIG, "model.safetensors": tensors("w")}


def shard(number: int, index: int) -> str:
    """Return what a shard is called."""
    return f"part-{number}-{index:05}-of-{SHARDS:05}.safetensors"


def shards(number: int) -> dict[str, bytes]:
    """Return a model of many shards, and some files besides."""
    names = [shard(number, index) for index in range(1, SHARDS + 1)]
    files = {name: tensors(f"layer.{index}") for index, name in enumerate(names)}
    index = {"weight_map": {f"layer.{at}": name for at, name in enumerate(names)}}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    others = {f"notes-{number}-{at}.txt": b"%d" % at for at in range(FILES - SHARDS - 2)}
    return {**files, **others, "config.json": CONFIG}


def pickles() -> dict[str, bytes]:
    """Return files of 1 KiB that are called as pickles are, so that only their bytes say whether they are some."""
    return {f"data/{index:04}.bin": b"%04d" % index * 256 for index in range(FILES)}


if __name__ == "__main__":
    with HuggingFaceServer() as server:
        server.add_repository("pickles/0", pickles())
        for number in range(int(sys.argv[1])):
            server.add_repository(f"samples/{number}", samples(number))
            server.add_repository(f"shards/{number}", shards(number))
        print(server.endpoint, flush=True)  # noqa: T201 - what the caller reads
        sys.stdin.read()
