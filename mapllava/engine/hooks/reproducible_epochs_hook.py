"""Makes every step depend on the seed and its position only, so that a resumed run is the same run."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from mapllava.engine.runner.visits import derive_seed, seed_all, visits_of
from mapllava.registry import HOOKS


@HOOKS.register_module()
class ReproducibleEpochsHook(Hook):
    """Seeds each step by (seed, epoch, batch, rank), and each visit of a sample by (seed, epoch, place).

    The place is the visit's in the sampler's order: a sample that is visited twice in an epoch, by
    ``RepeatDataset`` or by an iteration loop, which counts its passes over the data as epochs, draws
    twice. What a data set or a transform draws is then independent of the number of workers, of
    whether they persist, and of everything that ran before, what the model draws of everything before
    the step; so a run resumed anywhere goes on exactly as the one that was not stopped, and no
    generator's state need be saved, in any process. The visits are numbered by
    :class:`~mapllava.engine.runner.visits.VisitSampler`, which :class:`~mapllava.engine.MapRunner` puts in.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner: Runner) -> None:
        """Say where visits are not numbered."""
        if visits_of(runner.train_dataloader) is None:
            runner.logger.warning(
                "ReproducibleEpochsHook does not seed samples: it needs runner_type='MapRunner' and a "
                "train_dataloader that is a config; augmentation will differ after a resume"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """The pass over the data that comes is the epoch's; seed what a sampler may draw of, too."""
        visits = visits_of(runner.train_dataloader)
        if visits is not None and not isinstance(runner.train_loop, IterBasedTrainLoop):
            visits.next_pass = runner.epoch
        seed_all(derive_seed(runner.seed, runner.epoch))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed this process before it computes a batch."""
        seed_step(runner, batch_idx)

    def before_val_epoch(self, runner: Runner) -> None:
        """Seed this process before a validation, which a resumed run may have to make first."""
        seed_all(derive_seed(runner.seed, runner.epoch, runner.rank))


def seed_step(runner: Runner, batch_idx: int) -> None:
    """Seed this process by the run's seed, the epoch, a batch's number in it, and the rank."""
    seed_all(derive_seed(runner.seed, runner.epoch, batch_idx, runner.rank))
