"""What `results.json` says a run used, held against what its server counted."""

import json
from collections import Counter
from pathlib import Path

import pytest

from support.runs import finished, simulated

MODELS = {
    "writer": {"endpoint": "server", "model": "writer-1", "price": {"input_per_million": 2000}},
    "small": {"endpoint": "server", "model": "small-1", "price": {"output_per_million": 3000}},
    "large": {"endpoint": "server", "model": "large-1"},
}


async def test_usage_by_model_and_by_role_adds_up_to_what_the_server_counted(tmp_path: Path):
    async with simulated(tmp_path, None, models=MODELS, targets=["small", "large"]) as (scenario, _, server):
        await finished(scenario, tmp_path / "out")
    usage = json.loads((tmp_path / "out" / "results.json").read_text())["usage"]
    counted = Counter(body["model"] for body in server.bodies)
    models, roles = usage["by_model"], usage["by_role"]
    assert {name: used["calls"] for name, used in models.items()} == {
        name: counted[f"{name}-1"] for name in ("large", "small", "writer")
    }
    assert roles["reference"]["calls"] == counted["writer-1"]
    assert roles["target"]["calls"] == counted["small-1"] + counted["large-1"]
    for name in ("calls", "replayed", "retries", "failed", "prompt_tokens", "completion_tokens"):
        whole = usage[name]
        assert sum(used[name] for used in models.values()) == whole
        assert sum(used[name] for used in roles.values()) == whole
    assert models["writer"]["usd"] == pytest.approx(models["writer"]["prompt_tokens"] * 2000 / 1e6)
    assert models["small"]["usd"] == pytest.approx(models["small"]["completion_tokens"] * 3000 / 1e6)
    assert models["large"]["usd"] == 0
    assert usage["usd"] == pytest.approx(models["writer"]["usd"] + models["small"]["usd"])
