import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[2] / "examples" / "own_network.py"


def test_the_example_finds_more_information_in_early_layers(capsys):
    spec = importlib.util.spec_from_file_location("own_network", PATH)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main(["--pixels", "64", "--per-class", "12", "--steps", "120"])
    assert list(found) == ["layer1", "layer2", "layer3", "layer4", "pooled"]
    # Random weights cannot add information: what is read from deeper layers becomes less.
    assert found["layer1"] > found["layer2"] > found["layer3"] > 10
    table = capsys.readouterr().out
    assert "128x8x8" in table
    assert "Code length without activations" in table
