"""Persistent data workers do not outlive the run."""

from torch.utils.data import DataLoader

from mapllava.engine.data_workers import end_workers


def test_persistent_workers_end_and_start_again():
    loader = DataLoader(range(4), batch_size=2, num_workers=1, persistent_workers=True)
    assert len(list(loader)) == 2
    workers = loader._iterator._workers
    end_workers(loader)
    assert [worker.is_alive() for worker in workers] == [False]
    assert workers[0].exitcode == 0
    assert len(list(loader)) == 2
    end_workers(loader)


def test_what_has_no_workers_is_left_alone():
    end_workers(None)
    end_workers(DataLoader(range(4)))
