"""The notebook runs in a real kernel, cell by cell, with its progress bars."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "own_network.ipynb"


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    for cell in code:
        compile("".join(cell["source"]), cell["id"], "exec")
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    pytest.importorskip("ipykernel")
    pytest.importorskip("ipywidgets")
    notebook = nbformat.read(NOTEBOOK, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("steps = 800", "steps = 40")
    assert any("steps = 40" in cell.source for cell in notebook.cells)
    client(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    data = [output["data"] for output in outputs if "data" in output]
    assert sum("image/png" in found for found in data) == 3
    assert any("application/vnd.jupyter.widget-view+json" in found for found in data)  # a progress bar
    printed = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert printed.count("I(H;Y)") >= 9
    assert "samples.html" in str(data[-1])
