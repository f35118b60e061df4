"""Parameters of a model, however its weights are packed."""

import json
from typing import Any, Final

import pytest

from kamiwaza_sdk.formats.parameters import count_parameters, read_quantization
from kamiwaza_sdk.formats.schemas.files import StoredTensor

#: What one layer of 4096 x 4096 weights has.
SQUARE: Final = 4096 * 4096
_Tensors = dict[str, tuple[str, tuple[int, ...]]]


def _settings(**settings: Any) -> dict[str, Any]:  # Any: what configurations hold
    return {"quantization_config": settings}


GPTQ: Final[_Tensors] = {
    "q.qweight": ("I32", (512, 4096)),
    "q.qzeros": ("I32", (32, 512)),
    "q.scales": ("F16", (32, 4096)),
    "q.g_idx": ("I32", (4096,)),
}
PACKED: Final[_Tensors] = {
    "q.weight_packed": ("I32", (4096, 512)),
    "q.weight_scale": ("BF16", (4096, 128)),
    "q.weight_shape": ("I64", (2,)),
}
MLX: Final[_Tensors] = {
    "q.weight": ("U32", (4096, 512)),
    "q.scales": ("F16", (4096, 64)),
    "q.biases": ("F16", (4096, 64)),
    "q.bias": ("F16", (4096,)),
}
HALVES: Final[_Tensors] = {"q.weight": ("U8", (4096, 2048)), "q.weight_scale": ("F8_E4M3", (4096, 256))}
PLAIN: Final[_Tensors] = {"q.weight": ("BF16", (4096, 4096))}


@pytest.mark.parametrize(
    ("config", "tensors", "parameters"),
    [
        pytest.param({}, PLAIN, SQUARE, id="not quantized"),
        pytest.param(_settings(quant_method="gptq", bits=4), GPTQ, SQUARE, id="GPTQ"),
        pytest.param(_settings(quant_method="awq", bits=4), GPTQ, SQUARE, id="AWQ"),
        pytest.param(
            {
                "text_config": _settings(
                    quant_method="compressed-tensors",
                    format="pack-quantized",
                    config_groups={"g": {"weights": {"num_bits": 4}}},
                )
            },
            PACKED,
            SQUARE,
            id="compressed-tensors in a nested configuration",
        ),
        pytest.param(
            _settings(quant_method="compressed-tensors", format="nvfp4-pack-quantized"), HALVES, SQUARE, id="NVFP4"
        ),
        pytest.param({"quantization": {"bits": 4, "group_size": 64}}, MLX, SQUARE + 4096, id="MLX"),
        pytest.param(
            {"quantization": {"bits": 4, "group_size": 64, "q": {"bits": 8, "group_size": 64}}},
            MLX,
            SQUARE // 2 + 4096,
            id="MLX, a layer with bits of its own",
        ),
        pytest.param(
            _settings(quant_method="bitsandbytes", load_in_4bit=True),
            {
                "q.weight": ("U8", (SQUARE // 2, 1)),
                "q.weight.absmax": ("U8", (262_144,)),
                "q.weight.quant_map": ("F32", (16,)),
                "q.weight.quant_state.bitsandbytes__nf4": ("U8", (90,)),
            },
            SQUARE,
            id="bitsandbytes",
        ),
        pytest.param(
            _settings(quant_method="mxfp4"),
            {"e.up_blocks": ("U8", (32, 128, 90, 16)), "e.up_scales": ("U8", (32, 128, 90)), "e.bias": ("BF16", (7,))},
            32 * 128 * 90 * 32 + 7,
            id="MXFP4",
        ),
        pytest.param(
            _settings(quant_method="fp8"),
            {"q.weight": ("F8_E4M3", (4096, 4096)), "q.weight_scale_inv": ("F32", (32, 32))},
            SQUARE,
            id="FP8 by blocks",
        ),
        pytest.param(
            _settings(quant_method="fp8", expert_dtype="fp4"),
            {"m.experts.0.w1.weight": ("I8", (4096, 2048)), "m.shared_experts.w1.weight": ("I8", (10,))},
            SQUARE + 10,
            id="FP8 with packed experts",
        ),
        pytest.param(
            _settings(quant_method="bitnet"), {"q.weight": ("U8", (1024, 4096))}, SQUARE, id="BitNet: four in a byte"
        ),
        pytest.param(
            _settings(quant_method="gptq", bits=3), {"q.qweight": ("I32", (384, 4096))}, SQUARE, id="three bits"
        ),
        pytest.param(
            _settings(quant_method="compressed-tensors", format="nvfp4-pack-quantized", ignore=["lm_head"]),
            {**HALVES, "lm_head.weight": ("U8", (10, 10))},
            SQUARE + 100,
            id="a layer that is not quantized",
        ),
    ],
)
def test_parameters_are_counted_without_bookkeeping(config: dict[str, Any], tensors: _Tensors, parameters: int) -> None:
    quantization = read_quantization(json.loads(json.dumps(config)), {})
    counted = count_parameters((StoredTensor(name, *value) for name, value in tensors.items()), quantization)
    assert counted.parameters == parameters


@pytest.mark.parametrize("method", ["exl2", "aqlm", "hqq"])
def test_parameters_of_mixed_bits_are_unknown_with_a_reason(method: str) -> None:
    quantization = read_quantization(_settings(quant_method=method, bits=4.25), {})
    counted = count_parameters([StoredTensor("q.q_weight", "I32", (10, 10))], quantization)
    assert (counted.stored, counted.parameters) == (100, None)
    assert counted.problem is not None
    assert method in counted.problem


def test_parameters_of_packed_weights_need_their_bits() -> None:
    quantization = read_quantization(_settings(quant_method="compressed-tensors", format="pack-quantized"), {})
    counted = count_parameters([StoredTensor(name, *value) for name, value in PACKED.items()], quantization)
    assert (counted.parameters, counted.problem) == (None, "compressed-tensors does not say how many bits a weight has")


@pytest.mark.parametrize(
    ("name", "content", "method", "bits"),
    [
        ("quantize_config.json", {"bits": 4, "group_size": 128}, "gptq", 4),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 128}, "awq", 4),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4"}}, "modelopt", 4),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}}, "modelopt", 8),
    ],
)
def test_files_beside_the_configuration_tell_of_quantization(
    name: str, content: dict[str, Any], method: str, bits: int
) -> None:
    quantization = read_quantization({}, {name: content})
    assert quantization is not None
    assert (quantization.method, quantization.bits) == (method, bits)


def test_a_configuration_without_quantization_has_none() -> None:
    assert read_quantization({"quantization": {}, "quantization_config": None}, {}) is None


def test_complex_patterns_match_nothing() -> None:
    settings = _settings(quant_method="compressed-tensors", format="nvfp4-pack-quantized", ignore=["re:(a|b)+$"])
    quantization = read_quantization(settings, {})
    assert quantization is not None
    assert quantization.bits_of("a.weight") == 4
