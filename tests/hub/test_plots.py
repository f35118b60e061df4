"""Pictures of what a plan takes: they show the numbers that the plan has."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import HubService, InvalidInputException, estimate_memory, plot_memory
from tests.hub.models import CONFIG, gguf_companion, gguf_model, safetensors_model

pytest.importorskip("matplotlib")
GIB = 1024**3


async def test_a_picture_shows_weights_companions_and_cache_over_the_context(hub: HubService, tmp_path: Path) -> None:
    root = tmp_path / "m"
    root.mkdir()
    await asyncio.to_thread(gguf_model, root / "m-Q4_K_M.gguf", blocks=1000)
    await asyncio.to_thread(gguf_companion, root / "mmproj-F16.gguf", "mmproj", length=200)
    plan = await hub.plan(root)
    figure = plot_memory(plan, limit="1 MiB")
    axes: Any = figure.axes[0]  # Any: matplotlib's types allow for more than it returns
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown == ["weights", "companions", "cache", "limit of 0.0 GiB"]
    assert plan.memory is not None
    whole = estimate_memory(plan.details, context_length=4096, companions=plan.memory.companions)
    highest = max(float(path.vertices[:, 1].max()) for area in axes.collections for path in area.get_paths())
    assert highest == pytest.approx((whole.total or 0) / GIB)
    assert axes.get_xlim() == (0, 4096)
    figure.savefig(tmp_path / "memory.svg")
    assert b"<svg" in (tmp_path / "memory.svg").read_bytes()


async def test_what_is_not_known_is_not_drawn(hub: HubService, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(safetensors_model(x=("F16", [2])))
    (tmp_path / "config.json").write_bytes(CONFIG)
    plan = await hub.plan(tmp_path)
    with pytest.raises(InvalidInputException, match="choose one of"):
        plot_memory(plan)
    one = await hub.plan(tmp_path, variant="a.safetensors")
    with pytest.raises(InvalidInputException, match="longest"):
        plot_memory(one, longest=0)
    with pytest.raises(InvalidInputException, match="limit"):
        plot_memory(one, limit="much")
    with pytest.raises(InvalidInputException, match="is of kind str"):
        plot_memory("plan")  # type: ignore[arg-type]  # what a caller may give
