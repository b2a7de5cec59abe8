"""A figure is drawn again only where what it is drawn from has changed, or it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ib_analysis.artifacts.algorithms import ALGORITHMS
from ib_analysis.drawn import draw_unless_drawn, show_paths


class Drawing:
    """Draws a file into a folder, and counts how often."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.times = folder, folder / "plane.png", 0

    def __call__(self) -> list[Path]:
        self.times += 1
        self.folder.mkdir(exist_ok=True)
        self.path.write_text(f"drawing {self.times}")
        return [self.path]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "information.csv"
    path.write_text("bits\n1\n")
    return path


def test_it_is_drawn_once_from_the_same_sources(tmp_path: Path, table: Path) -> None:
    draw = Drawing(tmp_path / "figures")
    for _ in range(2):
        assert draw_unless_drawn(draw.folder, "plane", [table, tmp_path / "absent.csv"], draw) == [draw.path]
    assert draw.times == 1


@pytest.mark.parametrize(
    "what",
    ["another table", "a table that was absent", "the figure is gone", "a damaged record", "figures look otherwise"],
)
def test_it_is_drawn_again_after_a_change(
    tmp_path: Path, table: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, other = Drawing(tmp_path / "figures"), tmp_path / "phases.csv"
    draw_unless_drawn(draw.folder, "plane", [table, other], draw)
    if what == "another table":
        table.write_text("bits\n2\n")
    elif what == "a table that was absent":
        other.write_text("")
    elif what == "the figure is gone":
        draw.path.unlink()
    elif what == "figures look otherwise":
        monkeypatch.setitem(ALGORITHMS, "figures", ALGORITHMS["figures"] + 1)
    else:
        (draw.folder / "drawn.json").write_text("[1,")
    assert draw_unless_drawn(draw.folder, "plane", [table, other], draw) == [draw.path]
    assert draw.times == 2
    draw_unless_drawn(draw.folder, "plane", [table, other], draw)
    assert draw.times == 2


def test_kinds_do_not_forget_one_another(tmp_path: Path, table: Path) -> None:
    draw = Drawing(tmp_path / "figures")
    for kind in ("plane", "audit", "plane", "audit"):
        draw_unless_drawn(draw.folder, kind, [table], draw)
    assert draw.times == 2


def test_a_drawing_that_fails_is_not_taken_for_drawn(tmp_path: Path, table: Path) -> None:
    draw = Drawing(tmp_path / "figures")

    def fails() -> list[Path]:
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError):
        draw_unless_drawn(draw.folder, "plane", [table], fails)
    draw_unless_drawn(draw.folder, "plane", [table], draw)
    assert draw.times == 1


def test_svgs_beside_pngs_are_not_named(capsys: pytest.CaptureFixture) -> None:
    show_paths([Path("a.png"), Path("a.svg"), Path("samples.html")])
    assert capsys.readouterr().out == "a.png\nsamples.html\n"
