import pytest


@pytest.fixture
def losses():
    """A hook that keeps every training loss of a run."""
    from mmengine.hooks import Hook

    class Recorder(Hook):
        def __init__(self):
            self.values = []

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.values.append(float(outputs["loss"].detach()))

    return Recorder
