"""Draws ``memory.svg``: Gemma 3 4B as published, its GGUF file of 4 bits and its projector, in llama.cpp.

Run it where ``kamiwaza-sdk[plots]`` is installed: ``python docs/howto/memory_picture.py``. What is drawn follows from
the configuration alone: https://huggingface.co/google/gemma-3-4b-it/blob/main/config.json.
"""

from pathlib import Path

import matplotlib as mpl

from kamiwaza_sdk import PlanSchema, estimate_memory, plot_memory
from kamiwaza_sdk.formats import (
    AttentionLayersSchema,
    AttentionSchema,
    LayoutSchema,
    RepositoryDetailsSchema,
    VariantSchema,
)
from kamiwaza_sdk.sources import ManifestSchema

FULL = AttentionLayersSchema(count=5, kv_heads=4, key_length=256, value_length=256)
WINDOWED = AttentionLayersSchema(count=29, kv_heads=4, key_length=256, value_length=256, window=1024)
WEIGHTS, PROJECTOR = 2_489_757_856, 851_251_328
VARIANT = VariantSchema(name="Q4_K_M", format="gguf", files=("gemma-3-4b-it-Q4_K_M.gguf",), size=WEIGHTS)


def main() -> None:
    """Draw it beside this file, the same bytes each time."""
    details = RepositoryDetailsSchema(
        size=WEIGHTS,
        variant=VARIANT.name,
        layout=LayoutSchema(variants=(VARIANT,), default=VARIANT.name),
        context_length=131_072,
        attention=AttentionSchema(layers=(FULL, WINDOWED)),
    )
    memory = estimate_memory(details, context_length=8192, companions=PROJECTOR)
    manifest = ManifestSchema(source="hf://ggml-org/gemma-3-4b-it-GGUF", name="gemma-3-4b-it", files=())
    mpl.rcParams["svg.hashsalt"] = "memory"
    figure = plot_memory(PlanSchema(manifest=manifest, files=(), details=details, memory=memory), limit="5 GiB")
    figure.savefig(Path(__file__).with_name("memory.svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
