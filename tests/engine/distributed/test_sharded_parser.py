"""A parser whose weights two processes share writes what it writes alone, and none waits for the other."""

import os

import pytest
import torch
from mmengine.structures import BaseDataElement
from pair import run_pair
from torch import distributed

from mapllava.engine import FSDP2Wrapper
from mapllava.models.parsers import RequestParser

pytestmark = pytest.mark.slow
SENTENCES = (["crossings ahead"], ["how far is it", "x"])
"""Of each process: the first ends after a few tokens, one of the other's only at the limit."""


def worker(folder):
    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    architecture = {
        "model_type": "llama",
        "vocab_size": 259,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    language_model = {"type": "LanguageModel", "frozen": False, "architecture": architecture}
    spec = {"frame": "lidar", "roi": [-15.0, -30.0, 15.0, 30.0], "classes": ["divider", "boundary"]}
    parser = RequestParser(language_model, "{text} = ", spec, max_tokens=25).eval()
    texts = SENTENCES[int(os.environ["RANK"])]
    alone = [canonical for canonical, _ in parser.write(texts)]
    samples = [BaseDataElement(metainfo={"canonical": "none"}) for _ in texts]
    sharded = FSDP2Wrapper(parser)
    with torch.no_grad():
        found = sharded.val_step({"inputs": texts, "data_samples": samples})
    assert [sample.predicted for sample in found] == alone
    (folder / os.environ["RANK"]).touch()


def test_two_processes_write_texts_of_different_length(tmp_path):
    run_pair(worker, tmp_path, timeout=120.0)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}
