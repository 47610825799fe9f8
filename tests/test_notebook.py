"""examples/quickstart.ipynb, executed as a reader would."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tps_portrait.hub.styles import bundled_styles

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The code cells of the notebook after it ran; a cell that raises fails here."""
    home = tmp_path_factory.mktemp("jupyter")
    names = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "IPYTHONDIR": str(home)}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
        ).execute()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: Any) -> str:
    """What a cell printed."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def pictures(cell: Any) -> int:
    """How many pictures a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_is_stored_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 10
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_shows_what_it_promises(executed: list[Any]) -> None:
    assert [pictures(cell) for cell in executed] == [0, 1, 1, 2, 1, 1, 0, 1, 1, 1]
    for name in bundled_styles():
        assert name in printed(executed[0])
    miss = float(printed(executed[5]).split("landmark:")[1].split()[0])
    assert miss < 1e-4


def test_trains_and_exports(executed: list[Any]) -> None:
    assert printed(executed[6]) == "trained\n"
    assert "'step': 6" in printed(executed[7])
    assert "my-watercolor" in printed(executed[8])
    assert float(printed(executed[9]).split("MB,")[1].split()[0]) > 80
