from types import SimpleNamespace

import numpy as np
from result_rows import row

from ib_analysis.information.comparison import compare
from ib_analysis.information.summary import summary


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
    assert "peak is sought" not in text


def test_the_peak_of_a_quantized_network_is_sought_after_its_activations_are_quantized():
    def quantized(seed):
        fields = {"number_format": "w2a2", "encoder_seed": seed}
        codes = [*course({0: 90.0, 1: 80.0}, **fields), *course({2: 7.0, 5: 9.0, 20: 8.0}, code_bits=2, **fields)]
        real = course({0: 70.0, 1: 60.0, 2: 4.0, 5: 3.0, 20: 2.0}, layer="h3", **fields)  # pooled: no codes of its own
        return [*codes, *real]

    for rows in (quantized(0), [*quantized(0), *quantized(1)]):
        text = summary(finished(rows))
        (h1,) = [line for line in text.splitlines() if "90.00" in line]
        (h3,) = [line for line in text.splitlines() if "70.00" in line]
        assert "80.00" not in h1
        assert "epoch 5" in h1
        assert "60.00" not in h3
        assert "epoch 2 " in h3
        (note,) = [line for line in text.splitlines() if "peak is sought" in line]
        assert "quantized from epoch 2 on" in note


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


def test_several_seeds_show_the_mean_an_interval_for_new_seeds_and_the_range():
    rows = [
        item
        for (encoder, decoder), bits in {
            (0, 0): 4.0,
            (0, 1): 6.0,
            (1, 0): 8.0,
            (1, 1): 8.0,
            (2, 0): 9.0,
            (2, 1): 7.0,
        }.items()
        for item in course({0: bits, 1: bits - 1.0}, encoder_seed=encoder, decoder_seed=decoder)
    ]
    text = summary(finished(rows))
    assert "Over 3 encoder and 2 decoder seeds" in text
    # Encoders' means are 5, 8, 8; t(2) = 4.302653 at 95 %; the images' half-width is 0.5.
    half_width = np.hypot(4.302653 * np.std([5, 8, 8], ddof=1) / np.sqrt(3), 0.5)
    expected = f"7.00 [{7 - half_width:.2f}, {7 + half_width:.2f}] (4.00 to 9.00)"
    (line,) = [line for line in text.splitlines() if "epoch 0" in line and "7.00" in line]
    assert line.split("classification")[1].strip().startswith(f"h1     {expected}")
    assert f"6.00 [{6 - half_width:.2f}, {6 + half_width:.2f}] (3.00 to 8.00)" in line
    last = text.splitlines()[-1].split()
    assert last == ["classification", "h1", "3.00", "5.00", "7.00", "7.00", "8.00", "6.00"]


def test_with_one_encoder_the_decoders_are_the_units():
    rows = [item for seed, bits in enumerate([4.0, 6.0]) for item in course({0: bits}, decoder_seed=seed)]
    text = summary(finished(rows, config={"estimation": {"confidence": 0.9}}))
    half_width = np.hypot(6.313752 * 1.0, 0.5)  # t(1) at 90 %; sd/sqrt(n) of (4, 6) is 1
    assert "interval for new decoder seeds" in text
    assert f"5.00 [{5 - half_width:.2f}, {5 + half_width:.2f}] (4.00 to 6.00)" in text


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
