"""The tutorial notebook: its cells run, do what its text says, and README.md shows the same calls."""

import json
import re
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells():
    """The notebook's cells of code."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_erases_the_church_and_keeps_the_rest(tmp_path, monkeypatch, capsys):
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)  # it exports into results/
    for name in ("OMP_NUM_THREADS", "HF_HUB_DISABLE_PROGRESS_BARS"):  # which the notebook sets
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)  # else it would fetch Janus-Pro
    names, started = {}, time.monotonic()
    for code in cells():
        exec(code, names)
    with capsys.disabled():
        print(f"\nthe tutorial notebook took {time.monotonic() - started:.0f} s")
    rates = dict(re.findall(r"^([a-z ]+) (\d\.\d\d) \[", capsys.readouterr().out, re.MULTILINE))
    assert float(rates["concept rate before"]) >= 0.9
    assert float(rates["concept rate after"]) <= 0.2
    assert float(rates["retention after"]) >= float(rates["retention before"]) - 0.1 >= 0.8
    assert (tmp_path / "results/church-erased/model.safetensors").exists()


def test_the_notebook_is_small_and_shows_what_came_out():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    assert NOTEBOOK.stat().st_size < 400_000
    assert any("image/png" in out.get("data", {}) for out in outputs)
    assert not any(out["output_type"] == "error" or out.get("name") == "stderr" for out in outputs)


def test_the_readmes_python_is_the_notebooks():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(cells()).splitlines()
    assert len(block.splitlines()) > 5
    assert [line for line in block.splitlines() if line and line not in lines] == []
