"""Opening a checkpoint honours what the config's checkpoint hook allows."""

import pytest
import torch
from tiny import tiny_config, write_run

from mapllava.analysis.diagnosis import open_checkpoint
from mapllava.errors import MapLLaVAError


def test_a_part_may_be_missing_where_the_hook_allows_it_and_starts_the_same_each_time(
    tmp_path, city, city_cache
):
    cfg = tiny_config(city, city_cache)
    path = write_run(tmp_path, cfg)
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    lost = [key for key in state if key.startswith("head.layers.1.")]
    for key in lost:
        del state[key]
    state["old.weight"] = torch.zeros(1)
    torch.save(content, path)
    told = rf"(?s)best_model\.pth.*{len(lost)} missing in the file: head\.layers\.1.*old\.weight"
    with pytest.raises(MapLLaVAError, match=told):
        open_checkpoint(path, device="cpu")
    allowed = {"allow_missing": ["head.layers.1"], "allow_unexpected": ["old"]}
    cfg.custom_hooks = [{"type": "SafeCheckpointHook", **allowed}]
    cfg.dump(tmp_path / "config.json")
    before = torch.get_rng_state()
    one, two = (open_checkpoint(path, device="cpu").model.state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], state[key]) for key in state if key != "old.weight")
    assert all(torch.equal(one[key], two[key]) for key in lost)
