"""Loading: everything accounted for, or an error that lists the keys (never a hollow success)."""

from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mapllava.checkpoint import KeyTable, WeightSource, load_tensor, load_weights, parameters_on_meta
from mapllava.errors import MapLLaVAError

TABLE = KeyTable("toy", ((r"toy\.", ""), (r"other\.", None)))


def toy() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def write(folder, tensors) -> WeightSource:
    (folder / "config.json").write_text("{}")
    save_file({key: value.contiguous() for key, value in tensors.items()}, str(folder / "model.safetensors"))
    return WeightSource(folder)


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    donor = toy()
    nn.init.normal_(donor[1].running_mean)
    return {
        "other.weight": torch.zeros(2),
        **{f"toy.{key}": value for key, value in donor.state_dict().items()},
    }


def test_all_tensors_arrive_and_the_report_counts_them(tmp_path, tensors):
    module = toy()
    report = load_weights(module, write(tmp_path, tensors), TABLE)
    assert all(torch.equal(value, tensors[f"toy.{key}"]) for key, value in module.state_dict().items())
    assert len(report.loaded) == 7
    assert report.left_out == {"other": 1}
    assert (
        str(report) == f"toy weights loaded: 7 tensors from {tmp_path}; left out, of other parts: other (1)"
    )


def test_modules_without_memory_are_filled(tmp_path, tensors):
    with parameters_on_meta():
        module = toy()
        module[0].weight.requires_grad_(False)
    assert {p.device.type for p in module.parameters()} == {"meta"}
    assert module[1].running_var.device.type == "cpu"  # buffers keep their values
    load_weights(module, write(tmp_path, tensors), TABLE)
    assert torch.equal(module[0].weight, tensors["toy.0.weight"])
    assert [p.requires_grad for p in module.parameters()] == [False, True, True, True]
    assert nn.Linear(2, 2).weight.device.type == "cpu"  # nothing lingers


def test_tensors_take_the_dtype_of_the_module(tmp_path, tensors):
    module = toy().to(torch.bfloat16)
    load_weights(module, write(tmp_path, tensors), TABLE)
    assert module[0].weight.dtype == torch.bfloat16


def test_no_key_matches(tmp_path, tensors):
    renamed = {key.replace("toy.", "toys."): value for key, value in tensors.items()}
    with pytest.raises(MapLLaVAError) as error:
        load_weights(toy(), write(tmp_path, renamed), TABLE)
    text = str(error.value)
    assert "toy: 0 tensors" in text
    assert "7 missing in the files: 0.weight, 0.bias" in text
    assert "7 in the files but unknown here" in text
    assert "toys.0.weight" in text


def test_one_key_is_missing(tmp_path, tensors):
    del tensors["toy.0.bias"]
    with pytest.raises(MapLLaVAError, match=r"1 missing in the files: 0\.bias\n"):
        load_weights(toy(), write(tmp_path, tensors), TABLE)


@pytest.mark.parametrize("extra", ["toy.2.weight", "stranger"])
def test_one_key_too_many(tmp_path, tensors, extra):
    with pytest.raises(MapLLaVAError, match=f"1 in the files but unknown here: {extra}"):
        load_weights(toy(), write(tmp_path, {**tensors, extra: torch.zeros(1)}), TABLE)


def test_another_shape(tmp_path, tensors):
    tensors["toy.0.weight"] = torch.zeros(4, 5)
    with pytest.raises(MapLLaVAError, match=r"toy\.0\.weight \(4, 5\), expected \(4, 3\)"):
        load_weights(toy(), write(tmp_path, tensors), TABLE)


def test_one_tensor_under_two_names(tmp_path, tensors):
    table = KeyTable("toy", ((r"(old\.)?toy\.", ""), (r"other\.", None)))
    with pytest.raises(MapLLaVAError, match=r"1 in the files under two names: toy\.0\.bias\n"):
        load_weights(toy(), write(tmp_path, {**tensors, "old.toy.0.bias": torch.zeros(4)}), table)


def test_whole_numbers_are_no_weights(tmp_path, tensors):
    tensors["toy.0.weight"] = torch.zeros(4, 3, dtype=torch.int8)
    with pytest.raises(MapLLaVAError, match=r"toy\.0\.weight of torch\.int8, expected a floating-point type"):
        load_weights(toy(), write(tmp_path, tensors), TABLE)


@pytest.mark.parametrize("on_meta", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_is_not_finite_is_no_weight(tmp_path, tensors, value, on_meta):
    tensors["toy.0.weight"][1, 2] = value  # attention would take it for a masked place
    with parameters_on_meta() if on_meta else nullcontext():
        module = toy()
    with pytest.raises(MapLLaVAError, match=r"content: toy\.0\.weight with NaN or infinity"):
        load_weights(module, write(tmp_path, tensors), TABLE)


def test_large_weights_are_weights(tmp_path, tensors):
    tensors["toy.0.weight"][:] = 3e38  # their sum is infinite
    load_weights(toy(), write(tmp_path, tensors), TABLE)


def test_eight_bits_have_no_scale(tmp_path, tensors):
    tensors["toy.0.weight"] = tensors["toy.0.weight"].to(torch.float8_e4m3fn)
    source = write(tmp_path, tensors)
    for device in ("cpu", "meta"):
        with torch.device(device), pytest.raises(MapLLaVAError, match=r"toy\.0\.weight of torch\..* 16 bits"):
            load_weights(toy(), source, TABLE)


def test_a_single_tensor(tmp_path, tensors):
    source = write(tmp_path, tensors)
    table = KeyTable("bias", ((r"toy\.0\.bias$", "bias"), (r"", None)))
    assert torch.equal(load_tensor(source, table), tensors["toy.0.bias"])
    with pytest.raises(MapLLaVAError, match="found 0"):
        load_tensor(source, KeyTable("nothing", ((r"", None),)))
