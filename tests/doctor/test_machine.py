"""Python, disk, shared memory, driver and GPU of machines that are not this one."""

import platform
import shutil
from collections import namedtuple

import pytest
import torch

from mapllava.doctor import FAIL, OK, SKIP, WARN, Context, machine

Usage = namedtuple("Usage", "total used free")
CONTEXT = Context()


def one(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(("version", "status"), [("3.11.7", OK), ("3.10.13", FAIL), ("3.13.0", FAIL)])
def test_python(version, status, monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: version)
    finding = one(machine.python(CONTEXT))
    assert finding.status == status
    assert version in finding.reason
    assert ("make venv" in finding.remedy) == (status == FAIL)


@pytest.mark.parametrize(("free", "status"), [(10**9, FAIL), (10**10, WARN), (10**12, OK)])
def test_disk(free, status, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**13, 0, free))
    finding = one(machine.disk(CONTEXT))
    assert finding.status == status
    assert f"{free / 1e9:.1f} GB free where runs go ({tmp_path})" in finding.reason
    assert ("--work-dir" in finding.remedy) == (status != OK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("free", "status"), [(64 * 2**20, FAIL), (10**9, WARN), (10**10, OK)])
def test_shared_memory(free, status, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free, 0, free))
    finding = one(machine.shared_memory(CONTEXT))
    assert finding.status == status
    assert ("--shm-size=8g" in finding.remedy) == (status != OK)


def nvidia_smi(tmp_path, monkeypatch, script):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_a_free_and_a_busy_gpu(tmp_path, monkeypatch):
    rows = "0, NVIDIA A100, 550.54, 12, 40960\\n1, NVIDIA A100, 550.54, 30000, 40960"
    nvidia_smi(tmp_path, monkeypatch, f"printf '{rows}\\n'")
    free, busy = machine.driver(CONTEXT)
    assert (free.status, busy.status) == (OK, WARN)
    assert free.reason == "NVIDIA A100, driver 550.54, 40960 MiB, free"
    assert "30000 of 40960 MiB are in use" in busy.reason
    assert "CUDA_VISIBLE_DEVICES" in busy.remedy


def test_a_driver_that_does_not_work(tmp_path, monkeypatch):
    nvidia_smi(tmp_path, monkeypatch, "echo 'Driver/library version mismatch'; exit 18")
    finding = one(machine.driver(CONTEXT))
    assert finding.status == FAIL
    assert "Driver/library version mismatch" in finding.reason
    assert "reinstall the driver" in finding.remedy


def test_no_driver_and_no_gpu_are_no_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert one(machine.driver(CONTEXT)).status == SKIP
    finding = one(machine.gpu(CONTEXT))
    assert finding.status == WARN
    assert "training runs on the CPU" in finding.reason


@pytest.mark.parametrize(
    ("build", "hidden", "message"),
    [
        (None, None, "is a build without CUDA, though there is a driver"),
        ("13.0", None, "for CUDA 13.0 finds no GPU that works with this driver"),
        ("13.0", "", "CUDA_VISIBLE_DEVICES='' hides every GPU"),
        ("13.0", "-1", "CUDA_VISIBLE_DEVICES='-1' hides every GPU"),
    ],
)
def test_a_driver_whose_gpu_pytorch_does_not_see(build, hidden, message, tmp_path, monkeypatch):
    nvidia_smi(tmp_path, monkeypatch, "true")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    finding = one(machine.gpu(CONTEXT))
    assert finding.status == FAIL
    assert message in finding.reason
    assert finding.remedy


def test_commands_are_there_and_executable(tmp_path, monkeypatch):
    assert one(machine.commands(CONTEXT)).status == OK
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setattr(machine, "CHECKOUT", tmp_path)
    finding = one(machine.commands(CONTEXT))
    assert finding.status == FAIL
    assert "tools/ lacks train.py" in finding.reason
    for name in machine._TOOLS:
        (tools / name).touch()
    finding = one(machine.commands(CONTEXT))
    assert finding.status == WARN
    assert finding.reason == "not executable: dist_train.sh, dist_test.sh, slurm_train.sh"
    assert finding.remedy.startswith("chmod +x")
