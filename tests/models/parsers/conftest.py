"""A tiny language model in a folder, its tokenizer beside it."""

import pytest

from mapllava.testing.tiny_hf import write_tiny_llama


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))
