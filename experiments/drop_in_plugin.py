"""A pytest plugin: scipy's own tests meet our `minimize` in place of scipy's.

It must be imported before those tests, as ``pytest -p experiments.drop_in_plugin`` does. Our
algorithms keep scipy's own `minimize` from their import, so they are imported first. How each test
ended is written to the file that ``BLACKBOX_DROP_IN`` names.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import scipy.optimize

from blackbox import ALGORITHMS, minimize

for row in ALGORITHMS.values():
    if row.library == "scipy":
        row.load()

scipy.optimize.minimize = minimize

_ended: dict[str, dict[str, str]] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, None]:
    """Note how a test ended."""
    report = (yield).get_result()
    parts = [item.module.__name__.rsplit(".", 1)[-1], item.cls and item.cls.__name__, item.name]
    name = "::".join(part for part in parts if part)
    if report.when == "call" or not report.passed:
        ended = "expected failure" if hasattr(report, "wasxfail") else report.outcome
        why = str(call.excinfo.value).strip().split("\n")[0] if report.failed else ""
        _ended[name] = {"outcome": ended, "error": why}


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(os.environ["BLACKBOX_DROP_IN"]).write_text(json.dumps(_ended))
