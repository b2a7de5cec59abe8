import dataclasses
import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[2] / "examples" / "own_network.py"


def test_the_example_finds_more_information_in_early_layers(capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location("own_network", PATH)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    fits = []
    fit = example.fit

    def fit_and_warn(*arguments, **options):
        fits.append(fit(*arguments, **options))
        return dataclasses.replace(fits[-1], warnings=("nan_recovered",))

    monkeypatch.setattr(example, "fit", fit_and_warn)
    found = example.main(["--pixels", "64", "--per-class", "12", "--steps", "120"])
    assert list(found) == ["layer1", "layer2", "layer3", "layer4", "pooled"]
    # Random weights cannot add information: what is read from deeper layers becomes less.
    assert found["layer1"] > found["layer2"] > found["layer3"] > 10
    table = capsys.readouterr().out
    assert "128x8x8" in table
    assert "Code length without activations" in table
    # The fit can be judged, and what is to be said of it is printed.
    assert sum(point.step <= 0.7 * 120 for point in fits[0].curve) >= 5
    assert "training_too_short_to_tell" not in fits[0].warnings
    assert "WARNING nan_recovered: The loss or its gradient was not finite" in table
