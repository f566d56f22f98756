import pytest
import torch
from toy import ToyModel

from mapllava.engine import AutocastOptimWrapper
from mapllava.errors import MapLLaVAError


def wrapper(model, lr=0.1, **options):
    return AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=lr), **options)


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("dtype", [None, "bfloat16", "float16"])
def test_forward_runs_in_the_asked_precision_and_weights_stay_fp32(dtype):
    model = torch.nn.Linear(4, 1)
    optim = wrapper(model, dtype=dtype)
    with optim.optim_context(model):
        out = model(torch.ones(2, 4))
    assert out.dtype == {None: torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
    before = model.weight.detach().clone()
    optim.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(before, model.weight)


def test_accumulation_equals_one_large_batch():
    torch.manual_seed(0)
    data = torch.randn(4, 4)
    weights = []
    for parts in (1, 2):
        torch.manual_seed(1)
        model = torch.nn.Linear(4, 1)
        optim = wrapper(model, accumulative_counts=parts)
        for part in data.chunk(parts):
            with optim.optim_context(model):
                optim.update_params(model(part).square().mean())
        weights.append(model.weight.detach())
    torch.testing.assert_close(weights[0], weights[1])


def test_gradients_are_clipped():
    model = torch.nn.Linear(4, 1, bias=False)
    before = model.weight.detach().clone()
    optim = wrapper(model, lr=1.0, clip_grad={"max_norm": 0.5})
    optim.update_params(1e6 * model(torch.ones(1, 4)).sum())
    assert torch.linalg.norm(model.weight.detach() - before).item() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip_grad": {"max_norm": -1.0}},  # would turn the gradient round
        {"clip_grad": {"max_norm": 0.0}},
        {"clip_grad": {"max_norm": float("nan")}},
        {"clip_grad": {"max_norm": "1"}},
        {"clip_grad": {"type": "value", "clip_value": -0.5}},
        {"accumulative_counts": 1.5},
    ],
)
def test_numbers_that_train_nothing_or_backwards_are_refused(wrong):
    with pytest.raises(MapLLaVAError, match=r"optim_wrapper\.(clip_grad\.|accumulative_counts)"):
        wrapper(torch.nn.Linear(4, 1), **wrong)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_nonfinite_loss_leaves_the_weights_alone(factor):
    model = ToyModel()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optim = wrapper(model)
    optim.update_params(model.head.weight.sum() * factor)
    assert optim.nonfinite == "loss"
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    "clip_grad",
    [None, {"max_norm": 1.0}, {"type": "value", "clip_value": 1.0}],
    ids=["none", "norm", "value"],
)
def test_a_nonfinite_gradient_leaves_the_weights_alone(clip_grad):
    weight = torch.nn.Parameter(torch.zeros(1))
    optim = AutocastOptimWrapper(torch.optim.SGD([weight], lr=1.0), clip_grad=clip_grad)
    optim.update_params(weight.sqrt().sum())  # finite value, infinite slope
    assert optim.nonfinite == "grad_norm"
    assert weight.item() == 0.0


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_one_nonfinite_loss_leaves_out_the_whole_update_and_nothing_else(broken):
    weight = torch.nn.Parameter(torch.zeros(1))
    optim = AutocastOptimWrapper(torch.optim.SGD([weight], lr=1.0), accumulative_counts=3)
    for index in range(3):
        optim.update_params((weight * (float("nan") if index == broken else 1.0)).sum())
        assert optim.nonfinite == ("loss" if index >= broken else None)
    assert optim.should_update()
    assert weight.item() == 0.0
    for _ in range(3):
        optim.update_params(3 * weight.sum())
        assert optim.nonfinite is None
    assert weight.item() == pytest.approx(-3.0), "nothing of the update that was left out is in the next"


def test_a_loss_scale_below_one_says_that_it_is_the_gradient():
    weight = torch.nn.Parameter(torch.zeros(1))
    optim = AutocastOptimWrapper(torch.optim.SGD([weight], lr=1.0))
    optim.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    found = []
    for _ in range(2):
        optim.update_params(weight.sqrt().sum())
        found.append(optim.nonfinite)
    assert found == [None, "grad_norm"]
    assert weight.item() == 0.0


def test_log_names_the_learning_rate_of_each_group():
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [
        {"params": [first], "name": "new"},
        {"params": [second], "name": "qformer/no_decay", "lr": 1e-5},
    ]
    optim = AutocastOptimWrapper(torch.optim.AdamW(groups, lr=1e-4))
    rates = optim.get_lr()
    assert rates["new_lr"] == [1e-4]
    assert rates["qformer_lr"] == [1e-5]


def test_unknown_precision_is_refused():
    with pytest.raises(MapLLaVAError, match="bfloat16"):
        wrapper(torch.nn.Linear(1, 1), dtype="fp16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_fp16_on_a_gpu_scales_the_loss_and_its_state_is_saved():
    model = torch.nn.Linear(4, 1).cuda()
    optim = wrapper(model, dtype="float16")
    with optim.optim_context(model):
        optim.update_params(model(torch.ones(2, 4).cuda()).float().sum())
    assert optim.state_dict()["loss_scaler"]["scale"] > 1
