"""Class names are text, whatever they look like to a typesetter of formulas."""

from __future__ import annotations

import io
import json
from itertools import islice

from matplotlib.text import Text
from saved_experiments import MakeExperiment

from ib_analysis.plots import conditional_samples
from ib_analysis.plots.saved import SavedExperiment
from ib_analysis.plots.style import drawing_style


def test_class_names_with_dollar_signs_are_drawn_as_they_are(make_experiment: MakeExperiment) -> None:
    folder = make_experiment(h_x=None, factors=False, channels=1, size=8, intensities=17, seeds=(0,))
    facts = json.loads((folder / "data.json").read_text())
    names = ["$x_$", "$a^2$", "5$ note"]
    (folder / "data.json").write_text(json.dumps({**facts, "class_names": names}))
    with drawing_style():
        ((_, figure),) = islice(conditional_samples.draw(SavedExperiment(folder)), 1)
        figure.savefig(io.BytesIO())
    # The style sets no text as a formula, so that a name is shown letter by letter, without an escape.
    texts = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert texts
    assert {text.get_text() for text in texts} <= set(names)
    assert not any(text.get_parse_math() for text in texts)
