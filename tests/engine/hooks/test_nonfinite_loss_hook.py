import pytest
import torch
from toy import ToyModel, toy_config

from mapllava.engine import build_runner
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS


@MODELS.register_module(force=True)
class ToyModelThatBreaks(ToyModel):
    """Its second loss term is NaN from the third batch on."""

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = super().forward(inputs, data_samples, mode)
        if mode == "loss":
            self.calls = getattr(self, "calls", 0) + 1
            bad = torch.tensor(float("nan")) if self.calls > 2 else torch.tensor(0.0)
            out["loss_bad"] = out["loss_toy"] * bad
        return out


def test_the_run_stops_names_term_and_samples_and_keeps_the_batch(tmp_path):
    runner = build_runner(toy_config(tmp_path, model={"type": "ToyModelThatBreaks"}))
    with pytest.raises(MapLLaVAError, match=r"epoch 1, step 3: .*loss_bad.*samples: s\d, s\d") as caught:
        runner.train()
    assert "loss_toy" not in str(caught.value).split("samples")[0]
    saved = torch.load(tmp_path / "nonfinite_iter_3_rank_0.pth", weights_only=True)
    assert len(saved["samples"]) == 2
    assert torch.stack(saved["batch"]["inputs"]).shape == (2, 4)
    assert all(value.isfinite().all() for value in saved["state_dict"].values())
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
