"""The notebook runs from its first cell to its last, with small sizes, and is kept without outputs."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "quick_start.ipynb"
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


def test_it_runs(tmp_path, monkeypatch):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (sizes,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    small = f"scenes, samples_per_scene, epochs, image_size = 2, 4, 1, (320, 180)\nfolder = {str(tmp_path)!r}"
    assert sizes.source.splitlines()[0].partition(" =")[0] == small.partition(" =")[0]
    sizes.source = small
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.get("text", "") for output in shown)
    assert "8 training samples" in text
    assert text.count("mAP") >= 2
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    assert (tmp_path / "run" / "best_model.pth").is_file()


def test_no_output_is_kept():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert not [cell for cell in cells if cell.outputs or cell.execution_count]
