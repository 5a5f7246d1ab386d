"""One report page of made-up inputs, which all tests read and none changes."""

from pathlib import Path
from typing import Any

import pytest

from ear.report.page import render_report
from tests.report_inputs import write_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_inputs(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def report(inputs: dict[str, Any]) -> Path:
    folder: Path = inputs["metrics"].parent
    render_report(folder / "report.html", folder / "report", **inputs)
    return folder / "report.html"
