"""Layouts of repositories: those of well-known ones, and the rules behind them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamiwaza_sdk.formats.layouts import names
from kamiwaza_sdk.formats.layouts.choices import needed_companions
from kamiwaza_sdk.formats.layouts.describe import describe_layout
from kamiwaza_sdk.formats.schemas import LayoutSchema
from tests.formats.layouts import LAYOUTS, Layout, expand


def _split(text: str) -> list[str]:
    return sorted(filter(None, text.split("|")))


def _described(layout: Layout) -> LayoutSchema:
    texts = {path: text.encode() for path, text in layout.texts.items()}
    return describe_layout(dict(expand(layout.files)), texts=texts)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_repository_has_these_variants_and_companions(layout: Layout) -> None:
    found = _described(layout)
    assert found.default == (layout.default or None)
    assert sorted(one.name for one in found.variants) == sorted(
        [*filter(None, [layout.default]), *_split(layout.others)]
    )
    shown = [f"{one.kind}:{','.join(one.files)}" for one in found.companions if one.kind not in {"config", "tokenizer"}]
    assert sorted(shown) == _split(layout.companions)
    assert [one.name for one in found.incomplete] == _split(layout.incomplete)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_no_file_is_in_two_roles_and_every_file_exists(layout: Layout) -> None:
    files = dict(expand(layout.files))
    found = _described(layout)
    of_variants = {path for one in found.variants for path in one.files}
    of_companions = [path for one in found.companions for path in one.files]
    assert of_variants <= files.keys()
    assert len(of_companions) == len(set(of_companions))
    assert not of_variants & {*of_companions, *found.rest}


def test_order_of_the_files_does_not_matter() -> None:
    for layout in LAYOUTS:
        files = list(expand(layout.files))
        random.Random(layout.name).shuffle(files)
        assert describe_layout(dict(files), texts={p: t.encode() for p, t in layout.texts.items()}) == _described(
            layout
        )


_ASCII = st.characters(codec="ascii")
_BY_PATTERNS = st.one_of(
    *(st.from_regex(one, fullmatch=True, alphabet=_ASCII) for one in (names._STATE, names._TOKENIZERS, names._CONFIGS)),
    st.from_regex(names._CUT, alphabet=_ASCII).map(lambda end: f"m{end}"),
    st.from_regex(names._CHECKPOINT, fullmatch=True, alphabet=_ASCII).map(lambda folder: f"{folder}m".lstrip("/")),
)
_LOADED = [
    "m-imatrix.gguf",
    "imatrix.dat",
    "imatrix.gguf_file",
    "mmproj-m.gguf",
    "draft-m.gguf",
    "mtp-m.gguf",
    "m-eagle3-m.gguf",
    "dflash-m.gguf",
    "dspark-m.gguf",
    "adapter.gguf",
    "adapter-1.gguf",
    "adapter_model.bin",
    "adapter_model.txt",
    "m-lora.bin",
    "lora_m.pt",
    "voices/m.pt",
    "voices.bin",
    "voices.npz",
    "ae.safetensors",
    "vae.pt",
    "vae_1/m.pt",
    "m.mlmodelc.zip",
]


@given(path=st.one_of(_BY_PATTERNS, st.sampled_from(_LOADED)), folder=st.sampled_from(["", "a/", "a.b/c-d/"]))
def test_names_that_tell_something_are_among_the_telling_ones(path: str, folder: str) -> None:
    for one in (f"{folder}{path}", f"{folder}{path.upper()}"):
        tell = (names.is_training_state, names.in_checkpoint, names.is_cut_by_hand, names.companion_kind)
        if any(says(one) for says in tell):
            assert one in names.telling_names(["x.txt", one, "y"])


def test_most_names_tell_nothing() -> None:
    plain = [f"samples/{number:04}.wav" for number in range(100)]
    assert names.telling_names([*plain, "config.json", "LoRA.safetensors"]) == {"config.json", "LoRA.safetensors"}
    assert "optimizer.pt" in names.telling_names([*plain, "é.txt", "optimizer.pt"])


@pytest.mark.parametrize(
    ("model", "projectors", "taken"),
    [
        ("m-Q4_K_M.gguf", "mmproj-BF16.gguf mmproj-F32.gguf mmproj-Q8_0.gguf", "mmproj-Q8_0.gguf"),
        ("m-Q4_K_M.gguf", "mmproj-BF16.gguf mmproj-F16.gguf", "mmproj-BF16.gguf"),
        ("m-BF16.gguf", "mmproj-F32.gguf mmproj-f16.gguf", "mmproj-f16.gguf"),
        ("a/m-BF16.gguf", "mmproj-BF16.gguf a/mmproj-F32.gguf b/mmproj-BF16.gguf", "a/mmproj-F32.gguf"),
        ("m-Q8_0.gguf", "a/mmproj-F16.gguf", ""),
        ("m-Q4_K_M-{00001..00040}-of-00040.gguf", "mmproj-F16.gguf mmproj-F32.gguf", "mmproj-F16.gguf"),
        # Without a type a model counts as of 0 bits, and its number of shards is none.
        ("m-{00001..00040}-of-00040.gguf", "mmproj-F16.gguf mmproj-F32.gguf", "mmproj-F16.gguf"),
    ],
)
def test_the_projector_is_the_one_that_llama_cpp_takes(model: str, projectors: str, taken: str) -> None:
    """``find_best_sibling`` in https://github.com/ggml-org/llama.cpp/blob/master/common/download.cpp."""
    layout = describe_layout(dict(expand(" ".join(f"{path}:1" for path in [model, *projectors.split()]))))
    needed = needed_companions(layout.companions, layout.variants[0])
    assert [path for one in needed for path in one.files] == taken.split()
