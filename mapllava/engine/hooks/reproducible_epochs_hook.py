"""Makes every step depend on the seed and its position only, so that a resumed run is the same run."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.engine.seeding import SeedSample, derive_seed, pipelines, seed_all
from mapllava.registry import HOOKS


@HOOKS.register_module()
class ReproducibleEpochsHook(Hook):
    """Seeds each step by (seed, epoch, batch, rank), and each training sample by (seed, epoch, index).

    The order of samples is MMEngine's sampler's affair, which already goes by seed and epoch. What
    a transform draws is then independent of the number of workers, of whether they persist, and of
    everything that ran before, what the model draws of everything before the step; so a run resumed
    anywhere goes on exactly as the one that was not stopped, and no generator's state need be saved,
    in any process.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._seeders: list[SeedSample] = []

    def before_train(self, runner: Runner) -> None:
        """Put a seeding step before the training transforms; workers start later and inherit it."""
        for transforms in pipelines(runner.train_dataloader.dataset):
            if not any(isinstance(step, SeedSample) for step in transforms):
                transforms.insert(0, SeedSample(runner.seed))
            self._seeders += [step for step in transforms if isinstance(step, SeedSample)]

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers the epoch."""
        for seeder in self._seeders:
            seeder.set_epoch(runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed this process before it computes a batch."""
        seed_step(runner, batch_idx)

    def before_val_epoch(self, runner: Runner) -> None:
        """Seed this process before a validation, which a resumed run may have to make first."""
        seed_all(derive_seed(runner.seed, runner.epoch, runner.rank))


def seed_step(runner: Runner, batch_idx: int) -> None:
    """Seed this process by the run's seed, the epoch, a batch's number in it, and the rank."""
    seed_all(derive_seed(runner.seed, runner.epoch, batch_idx, runner.rank))
