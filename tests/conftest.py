"""Hypothesis runs the same examples everywhere; pictures that no test looks at are not drawn."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are put together and their files made, but nothing is laid out or drawn.

    Both take most of the time of a command, and are for the tests of pictures to see to.
    """
    leave_undrawn(monkeypatch)


def leave_undrawn(patch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    def made(figure: "Figure", path: Path, **kwargs: object) -> None:
        assert figure.axes, "an empty picture"
        path.write_text("not drawn")

    patch.setattr(Figure, "savefig", made)
    patch.setattr(Figure, "draw_without_rendering", lambda figure: None)
