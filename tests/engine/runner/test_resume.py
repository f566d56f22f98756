"""A run killed and resumed is the run that was not killed."""

import pytest
import torch
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks.run_checkpoint_hook import latest_checkpoint


class Killed(Exception):
    pass


def train(cfg, recorder, kill_at=None):
    runner = build_runner(cfg)
    hook = recorder()
    runner.register_hook(hook)
    if kill_at is not None:
        runner.register_hook(killer(kill_at))
        with pytest.raises(Killed):
            runner.train()
    else:
        runner.train()
    stop_workers(runner)
    return hook.values, runner


def stop_workers(runner):
    """Left to the garbage collector, persistent workers are waited for, 5 s each."""
    iterator = runner.train_dataloader._iterator
    if iterator is not None:
        iterator._shutdown_workers()


def killer(iteration):
    from mmengine.hooks import Hook

    class Kill(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == iteration:
                raise Killed

    return Kill()


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, True)])
def test_resumed_losses_are_those_of_the_run_that_went_on(tmp_path, losses, workers, persistent):
    loader = {"workers": workers, "persistent": persistent}
    whole, _ = train(toy_config(tmp_path / "whole", epochs=2, **loader), losses)
    first, _ = train(toy_config(tmp_path / "cut", epochs=2, **loader), losses, kill_at=6)
    assert first == whole[:6]
    again = toy_config(tmp_path / "cut", epochs=2, **loader)
    again.resume, again.load_from = True, str(latest_checkpoint(tmp_path / "cut"))
    rest, _ = train(again, losses)
    assert rest == whole[4:], "epoch 1 ended after step 4; the resumed run starts there"
    left, right = (
        torch.load(tmp_path / name / "final_model.pth", weights_only=True) for name in ("whole", "cut")
    )
    assert left["ema_updates"] == right["ema_updates"] == 8
    for part in ("state_dict", "ema_state_dict"):
        assert all(torch.equal(left[part][key], right[part][key]) for key in left[part]), part


def test_augmentation_does_not_depend_on_the_number_of_workers(tmp_path, losses):
    inputs = []
    for workers in (1, 2):
        cfg = toy_config(tmp_path / f"w{workers}", epochs=2, workers=workers, persistent=True)
        values, _ = train(cfg, losses)
        inputs.append(values)
    assert inputs[0] == inputs[1]


def test_epochs_are_augmented_differently(tmp_path):
    from mmengine.hooks import Hook

    seen = {}

    class Keep(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            for sample in data_batch["data_samples"]:
                seen.setdefault(sample.sample_token, []).append(sample.x.tolist())

    for persistent in (True, False):
        seen.clear()
        runner = build_runner(
            toy_config(tmp_path / str(persistent), epochs=2, workers=2, persistent=persistent)
        )
        runner.register_hook(Keep())
        runner.train()
        stop_workers(runner)
        assert len(seen) == 8
        assert all(len(values) == 2 and values[0] != values[1] for values in seen.values())


def test_best_score_survives_a_resume(tmp_path, losses):
    import json

    train(toy_config(tmp_path, epochs=2), losses)
    record = tmp_path / "best_model.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "score": 1e9}))
    before = (tmp_path / "best_model.pth").stat().st_mtime_ns
    cfg = toy_config(tmp_path, epochs=3)
    cfg.resume, cfg.load_from = True, str(latest_checkpoint(tmp_path))
    train(cfg, losses)
    assert (tmp_path / "best_model.pth").stat().st_mtime_ns == before
