"""`vl.train` and `%run train.py` in a notebook: live progress, nothing printed twice, and a `run.log`."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

import vae_lightning as vl
from tests.api.conftest import TINY
from tests.running import REPOSITORY

# with the progress bar
SHORT = tuple("callbacks=default" if text == "callbacks=minimal" else text for text in TINY)


class ZMQInteractiveShell:
    """By the name of its class, rich knows that it runs in a notebook."""


class Handle:
    def __init__(self, shown: list[Any]) -> None:
        self.shown = shown

    def update(self, content: Any, **_: Any) -> None:
        self.shown[-1] = content


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a notebook would show below its cell: a fake of IPython, in this process."""
    shown: list[Any] = []

    def display(content: Any, display_id: bool = False, **_: Any) -> Handle | None:
        shown.append(content)
        return Handle(shown) if display_id else None

    module: Any = types.ModuleType("IPython.display")
    module.display = display
    package: Any = types.ModuleType("IPython")
    package.version_info, package.get_ipython = (9, 0), lambda: None  # matplotlib asks for them
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr("builtins.get_ipython", ZMQInteractiveShell, raising=False)
    return shown


def test_progress_is_live_nothing_is_doubled_and_the_log_is_whole(
    folder: Path, outputs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = vl.train(*SHORT, "trainer.max_epochs=2")
    captured = capsys.readouterr()
    texts = [content["text/plain"] if isinstance(content, dict) else content.text for content in outputs]
    (progress,) = [text for text in texts if text.startswith("epoch")]
    assert progress.startswith("epoch 2/2  100%  elbo -")
    assert sum("results (of the best checkpoint)" in text for text in texts) == 1
    assert "elbo" not in captured.out + captured.err
    log = (run.folder / "run.log").read_text()
    assert "results (of the best checkpoint)" in log
    assert log.count("mnist5k-mlp") >= 1


@pytest.mark.parametrize(
    "source",
    [f"import vae_lightning as vl\nrun = vl.train(*{SHORT!r})\nrun", f"%run {REPOSITORY / 'train.py'} {' '.join(SHORT)}"],
    ids=["vl.train", "%run"],
)
def test_a_real_notebook(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    client = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    shown = notebook.cells[0].outputs
    texts = [str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in shown]
    assert [text for text in texts if text.startswith("epoch")] == [text for text in texts if "100%" in text]
    assert sum("results (of the best checkpoint)" in text for text in texts) == 1
    (log,) = folder.glob("outputs/*/*/run.log")
    assert "results (of the best checkpoint)" in log.read_text()
    if "vl.train" in source:
        page = shown[-1]["data"]["text/html"]
        assert "<table>" in page
        assert page.count("data:image/png;base64,") == 2
