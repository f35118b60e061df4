"""Draws the plots of these pages: the same bytes each time, where ``kamiwaza-sdk[plots]`` is installed.

``lineage.svg`` is of a registry in memory. ``memory.svg`` is Gemma 3 4B as published, its GGUF file of 4 bits and its
projector, in llama.cpp; what is drawn follows from the configuration alone:
https://huggingface.co/google/gemma-3-4b-it/blob/main/config.json.
"""

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    ModelService,
    ModelVersionSchema,
    PlanSchema,
    create_engine,
    estimate_memory,
    plot_lineage,
    plot_memory,
    setup_database,
)
from kamiwaza_sdk.formats import (
    AttentionLayersSchema,
    AttentionSchema,
    LayoutSchema,
    RepositoryDetailsSchema,
    VariantSchema,
)
from kamiwaza_sdk.sources import ManifestSchema
from kamiwaza_sdk.types import Relation

FULL = AttentionLayersSchema(count=5, kv_heads=4, key_length=256, value_length=256)
WINDOWED = AttentionLayersSchema(count=29, kv_heads=4, key_length=256, value_length=256, window=1024)
WEIGHTS, PROJECTOR = 2_489_757_856, 851_251_328
VARIANT = VariantSchema(name="Q4_K_M", format="gguf", files=("gemma-3-4b-it-Q4_K_M.gguf",), size=WEIGHTS)
FAMILY: Final[tuple[tuple[str, Relation, tuple[int, ...]], ...]] = (
    ("org/base", "copied", ()),
    ("support", "fine-tuned", (0,)),
    ("code", "fine-tuned", (0,)),
    ("assistant", "merged", (1, 2)),
    ("assistant-q4", "quantized", (3,)),
)


def memory() -> Figure:
    """Return what a long context takes."""
    details = RepositoryDetailsSchema(
        size=WEIGHTS,
        variant=VARIANT.name,
        layout=LayoutSchema(variants=(VARIANT,), default=VARIANT.name),
        context_length=131_072,
        attention=AttentionSchema(layers=(FULL, WINDOWED)),
    )
    estimate = estimate_memory(details, context_length=8192, companions=PROJECTOR)
    manifest = ManifestSchema(source="hf://ggml-org/gemma-3-4b-it-GGUF", name="gemma-3-4b-it", files=())
    return plot_memory(PlanSchema(manifest=manifest, files=(), details=details, memory=estimate), limit="5 GiB")


def lineage() -> Figure:
    """Return which versions a merged and then quantized model was made from."""
    engine = create_engine("sqlite://")
    setup_database(engine)
    made: list[ModelVersionSchema] = []
    with Session(engine) as db:
        models = ModelService(db)
        for name, relation, parents in FAMILY:
            model = models.create_model(CreateModel(name=name))
            file = CreateFile(path="model.safetensors", size=1, sha256=f"{len(made):064x}")
            of = tuple(CreateParent(version_id=made[number].id, relation=relation) for number in parents)
            made.append(models.create_version(model.id, CreateVersion(files=(file,), derived_from=of)))
        models.set_alias(made[-1].id, "production")
        return plot_lineage([models.get_version(version.id) for version in made])


def main() -> None:
    """Draw all beside this file."""
    for name, draw in {"memory": memory, "lineage": lineage}.items():
        mpl.rcParams["svg.hashsalt"] = name
        draw().savefig(Path(__file__).with_name(f"{name}.svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
