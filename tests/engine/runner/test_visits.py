"""A sample draws anew at each visit, and the same again in a run that is resumed."""

import itertools

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler
from toy import toy_config

from mapllava.engine import build_runner
from mapllava.engine.hooks.run_checkpoint_hook import latest_checkpoint
from mapllava.engine.runner import visits
from mapllava.registry import DATASETS

TOY = {"type": "ToyDataset", "pipeline": [{"type": "ToyNoise"}]}
ITERATIONS = {"type": "IterBasedTrainLoop", "max_iters": 12, "val_interval": 100}
DATA = {
    "repeat": {"type": "RepeatDataset", "times": 2, "dataset": TOY},
    "concat": {"type": "ConcatDataset", "datasets": [TOY, TOY]},
    "plug-in": {"type": "MixDataset", "dataset": TOY},
    "nested": {"type": "RepeatDataset", "times": 2, "dataset": {"type": "SubToy", **TOY, "indices": [3, 5]}},
}


@DATASETS.register_module(force=True)
class MixDataset:
    """A plug-in's wrapper, which keeps its data set under another name and draws by itself."""

    def __init__(self, dataset):
        self.parts = DATASETS.build(dataset)
        self.metainfo = self.parts.metainfo

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.parts[int(torch.randint(8, ()))]


class Keep(Hook):
    """Keeps what every step's samples drew: (token, values)."""

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        samples = data_batch["data_samples"]
        self.steps.append([(sample.sample_token, tuple(sample.x.tolist())) for sample in samples])


def stop_at(iteration):
    class Stop(Hook):
        priority = "LOWEST"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == iteration:
                raise InterruptedError

    return Stop()


def config(folder, dataset=TOY, loop=None, sampler=None, epochs=2, workers=0, **loader):
    cfg = toy_config(folder, epochs=epochs, workers=workers, persistent=workers > 0)
    loader = {"dataset": dict(dataset), **({"sampler": sampler} if sampler else {}), **loader}
    for key, value in loader.items():
        cfg.train_dataloader[key] = value
    if loop is not None:
        cfg.train_cfg = dict(loop)
    cfg.train_cfg.val_interval = 100
    return cfg


def train(cfg, stop=None):
    cfg.default_hooks.checkpoint.every_steps = None if stop is None else 1
    runner, keep = build_runner(cfg), Keep()
    runner.register_hook(keep)
    if stop is None:
        runner.train()
    else:
        runner.register_hook(stop_at(stop))
        with pytest.raises(InterruptedError):
            runner.train()
    iterator = runner.train_dataloader._iterator
    if iterator is not None:
        iterator._shutdown_workers()
    return keep.steps


DATASETS.register_module(name="SubToy", force=True, module=DATASETS.get("ToyDataset"))


@pytest.mark.parametrize("dataset", [TOY, *DATA.values()], ids=["plain", *DATA])
def test_no_two_visits_draw_the_same(tmp_path, dataset):
    steps = train(config(tmp_path, dataset))
    drawn = [values for step in steps for _, values in step]
    noise = {tuple(value - int(token[1:]) for value in values) for step in steps for token, values in step}
    assert len(drawn) >= 8
    assert len({tuple(round(value, 4) for value in values) for values in noise}) == len(drawn)


@pytest.mark.parametrize(("sampler", "workers"), [("InfiniteSampler", 0), ("DefaultSampler", 2)])
def test_passes_of_an_iteration_loop_draw_anew_and_resume_exactly(tmp_path, monkeypatch, sampler, workers):
    monkeypatch.setattr("mmengine.runner.loops.time.sleep", lambda seconds: None)
    options = {"loop": ITERATIONS, "sampler": {"type": sampler, "shuffle": True}, "workers": workers}
    whole = train(config(tmp_path / "whole", **options))
    visits_of = {}
    for token, values in itertools.chain(*whole):
        visits_of.setdefault(token, set()).add(values)
    assert len(visits_of) == 8
    assert all(len(values) == 3 for values in visits_of.values())
    first = train(config(tmp_path / "cut", **options), stop=6)
    again = config(tmp_path / "cut", **options)
    again.resume, again.load_from = True, str(latest_checkpoint(tmp_path / "cut"))
    assert again.load_from.endswith("checkpoint_epoch_1_step_6.pth")
    assert [*first, *train(again)] == whole
    left, right = (
        torch.load(tmp_path / run / "final_model.pth", weights_only=True) for run in ("whole", "cut")
    )
    assert all(torch.equal(left["state_dict"][key], right["state_dict"][key]) for key in left["state_dict"])


@DATA_SAMPLERS.register_module(force=True)
class PairsFromTheEnd(BatchSampler):
    """A plug-in's batch sampler, which makes new numbers of the sampler's."""

    def __init__(self, sampler, batch_size):
        super().__init__(sampler, batch_size, drop_last=False)

    def __iter__(self):
        for batch in super().__iter__():
            yield [int(torch.tensor(7 - index)) for index in batch]


@pytest.mark.parametrize(
    "dataset",
    [DATA["repeat"], pytest.param(DATA["plug-in"], marks=pytest.mark.slow)],
    ids=["repeat", "plug-in"],
)
@pytest.mark.parametrize("batches", [None, {"type": "PairsFromTheEnd"}], ids=["default", "batch sampler"])
def test_a_run_that_goes_on_within_an_epoch_draws_what_it_would_have(tmp_path, dataset, batches):
    options = {"dataset": dataset, **({"batch_sampler": batches} if batches else {})}
    whole = train(config(tmp_path / "whole", **options))
    first = train(config(tmp_path / "cut", **options), stop=len(whole) // 2 + 1)
    again = config(tmp_path / "cut", workers=2, **options)
    again.resume, again.load_from = True, str(latest_checkpoint(tmp_path / "cut"))
    assert again.load_from.endswith("checkpoint_epoch_2_step_1.pth")
    assert [*first, *train(again)] == whole


def test_a_sampler_without_a_seed_has_the_runs(tmp_path):
    orders = []
    for number, noise in enumerate((3, 5)):
        cfg = config(
            tmp_path / str(number), sampler={"type": "DefaultSampler", "shuffle": True, "seed": None}
        )
        cfg.randomness = {"seed": 4, "diff_rank_seed": True}
        runner, keep = build_runner(cfg), Keep()
        torch.manual_seed(noise)
        np.random.seed(noise)  # noqa: NPY002 MMEngine would draw the sampler's seed of this
        runner.register_hook(keep)
        runner.train()
        orders.append(keep.steps)
    assert orders[0] == orders[1]


def test_the_place_decides_not_the_process(monkeypatch):
    """Two processes together draw for each place what one does."""

    def places(rank, processes):
        for module in ("mapllava.engine.runner.visits", "mmengine.dataset.sampler"):
            monkeypatch.setattr(f"{module}.get_dist_info", lambda: (rank, processes))
        sampler = visits.VisitSampler(3, {"type": "DefaultSampler"}, dataset=range(8), seed=1)
        return [(int(visit), visit.seed) for visit in sampler]

    one = places(0, 1)
    assert [places(0, 2), places(1, 2)] == [one[::2], one[1::2]]
