from types import SimpleNamespace

from result_rows import row

from ib_analysis.information.summary import compare, summary


def finished(rows, name="toy", config=None):
    return SimpleNamespace(experiment=name, information=rows, config=config or {})


def course(values, **fields):
    """Rows of one layer, an epoch after the other."""
    return [
        row(epoch=epoch, i_xh_bits=bits, i_xh_bits_low=bits - 0.5, i_xh_bits_high=bits + 0.5, **fields)
        for epoch, bits in values.items()
    ]


def test_first_peak_and_last_of_every_layer():
    rows = [*course({20: 7.0, 0: 5.0, 5: 9.25}), *course({0: 3.0, 20: 4.0}, layer="h4")]
    text = summary(finished(rows))
    (h1,) = [line for line in text.splitlines() if line.split()[1:2] == ["h1"] and "epoch 5" in line]
    positions = [h1.index(part) for part in ("5.00 [4.50, 5.50]", "9.25 [8.75, 9.75] epoch 5", "7.00 [6.50, 7.50]")]
    assert positions == sorted(positions)
    assert "9.50 [9.00, 10.00]" in h1  # the lower bound at the last epoch
    assert h1.endswith("14.50")  # H(X)
    (h4,) = [line for line in text.splitlines() if "4.00 [3.50, 4.50] epoch 20" in line]
    assert h4.split()[1] == "h4"
    assert text.count("1.20 [1.10, 1.30]") == 6  # I(H;Y): two layers, three columns
    assert "!" not in text


def test_columns_stand_below_each_other():
    lines = summary(finished(course({0: 5.0, 1: 1234.5}))).splitlines()
    header, _, line = lines[1:4]
    assert header.index("peak") == line.index("1234.50")


def test_without_known_entropy_there_is_no_lower_bound():
    rows = course({0: 5.0}, h_x_bits=None, lower_bound_bits=None, lower_bound_bits_low=None, lower_bound_bits_high=None)
    assert "H(X)" not in summary(finished(rows))
    assert "lower bound, last" not in summary(finished(rows))


def test_cells_with_warnings_are_marked_and_explained():
    rows = [*course({0: 5.0}), *course({1: 8.0, 2: 7.0}, warnings="nan_recovered;not_finite")]
    text = summary(finished(rows))
    assert "8.00! [" in text
    assert "5.00 [" in text
    assert "! nan_recovered (cells: 2)." in text


def test_several_runs_are_told_apart():
    text = summary(finished([*course({0: 5.0}), *course({0: 6.0}, encoder_seed=3)]))
    assert "seeds 0/0" in text
    assert "seeds 3/0" in text


def test_an_experiment_without_cells():
    assert "no cell" in summary(finished([]))


def test_comparison_of_shared_cells():
    a = finished(course({0: 5.0, 1: 8.0}), "first", {"name": "first", "encoder": {"width": 16, "depth": 8}})
    b = finished(course({1: 10.0, 2: 9.0}), "second", {"name": "second", "encoder": {"width": 32, "depth": 8}})
    text = compare(a, b)
    (line,) = [line for line in text.splitlines() if line.startswith("classification")]
    assert line.split()[:6] == ["classification", "h1", "1", "8.00", "10.00", "+2.00"]
    assert line.split()[6] == "*"  # [7.5, 8.5] and [9.5, 10.5]
    assert line.split()[-1] == "+0.00"
    (change,) = [line for line in text.splitlines() if line.startswith("encoder")]
    assert change.split() == ["encoder.width", "16", "32"]
    assert "1 in a, 1 in b" in text


def test_comparison_matches_single_runs_of_other_formats_but_not_many():
    float32, int8 = course({0: 5.0}), course({0: 4.0}, number_format="int8")
    assert "-1.00" in compare(finished(float32), finished(int8))
    two_seeds = [*int8, *course({0: 3.0}, number_format="int8", encoder_seed=1)]
    text = compare(finished(float32), finished(two_seeds))
    assert "no cell in common" in text
    assert "1 in a, 2 in b" in text
    both = compare(finished(two_seeds), finished(list(reversed(two_seeds))))
    assert both.count("+0.00") == 4
    assert "the same" in both
