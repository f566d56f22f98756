import pytest
import torch
from torch import nn

from mapllava.engine.optim.weight_average import WeightAverage
from mapllava.errors import MapLLaVAError


def test_the_start_is_forgotten_within_a_few_updates():
    """With a plain 0.998, 98 % of the random start would be left after ten updates."""
    average, left = WeightAverage(decay=0.998, warmup=10), 1.0
    for average.updates in range(50):
        left *= average.momentum()
    assert left < 1e-6
    average.updates = 10**6
    assert average.momentum() == 0.998


def test_the_model_has_the_average_inside_alone_and_goes_on_from_a_restored_one():
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(decay=0.5, warmup=1)
    with average.swapped(model):
        assert not average.values, "nothing is averaged before the start"
    nn.init.constant_(model.weight, 1.0)
    average.start(model)
    nn.init.constant_(model.weight, 3.0)
    average.update()
    with average.swapped(model):
        assert model.weight.item() == 2.0
    assert (model.weight.item(), average.values["weight"].item()) == (3.0, 2.0)

    again = WeightAverage(decay=0.5, warmup=1)
    again.restore(model, {"weight": torch.full((1, 1), 7.0)}, {"weight": None}, updates=4)
    again.start(model)
    assert (again.values["weight"].item(), again.updates) == (7.0, 4)
    with pytest.raises(MapLLaVAError, match="weight"):
        again.restore(model, {}, {}, updates=4)
