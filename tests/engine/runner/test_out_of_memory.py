"""What a run that lacks memory is advised to lower."""

import pytest

from mapllava.engine.runner.out_of_memory import memory_advice


@pytest.mark.parametrize(
    ("batch", "every", "half", "then", "said"),
    [
        (4, 1, 2, 2, "trains the same"),
        (3, 2, 1, 6, "trains the same"),
        (5, 1, 2, 2, "4 samples a step, not 5"),
        (7, 2, 3, 4, "12 samples a step, not 14"),
    ],
)
def test_a_smaller_batch_trains_the_same_only_with_as_many_samples_a_step(batch, every, half, then, said):
    cfg = {
        "train_dataloader": {"batch_size": batch},
        "optim_wrapper": {"accumulative_counts": every},
    }
    first = memory_advice(cfg)[0]
    assert f"train_dataloader.batch_size={half} optim_wrapper.accumulative_counts={then}" in first
    assert said in first
    assert ("the same" in first) == (half * then == batch * every)


@pytest.mark.parametrize("part", ["model.decoder", "model.language_model"])
def test_the_part_that_can_compute_again_is_the_models_own(part):
    advice = " ".join(memory_advice({"model": {part.removeprefix("model."): {}}}))
    assert f"gradient_checkpointing=True in {part}" in advice
