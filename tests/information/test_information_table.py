import csv
import math
import typing
from dataclasses import astuple, fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from result_rows import row

from ib_analysis.artifacts import UserError
from ib_analysis.information.table import FactorRow, InformationRow, read_table, table_text, write_table

texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)
strategies = {
    str: texts,
    int: st.integers(-10, 10**9),
    float: st.floats(allow_nan=False),
    int | None: st.none() | st.integers(0, 16),
    float | None: st.none() | st.floats(allow_nan=False),
}


def rows_of(kind):
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: strategies[hints[field.name]] for field in fields(kind)})


def equal_to_nine_digits(one, other):
    if isinstance(one, float):
        return one == other or math.isclose(one, other, rel_tol=5.1e-9, abs_tol=1e-300)
    return one == other and type(one) is type(other)


@pytest.mark.parametrize("kind", [InformationRow, FactorRow])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_round_trip(tmp_path, kind, data):
    rows = data.draw(st.lists(rows_of(kind), max_size=3))
    path = tmp_path / "table.csv"
    write_table(path, kind, rows)
    found = read_table(path, kind)
    assert len(found) == len(rows)
    for one, other in zip(rows, found, strict=True):
        assert all(map(equal_to_nine_digits, astuple(one), astuple(other)))
    assert table_text(kind, found) == path.read_text(encoding="utf-8")  # what is read is written alike


COLUMNS = """
experiment task number_format encoder_seed decoder_seed epoch layer channels height width n_images
i_xh_bits i_xh_bits_low i_xh_bits_high i_xh_bits_per_dim code_length_bits null_code_length_bits
own_null_code_length_bits h_x_bits lower_bound_bits lower_bound_bits_low lower_bound_bits_high
i_hy_linear_bits i_hy_mlp_bits i_hy_bits i_hy_bits_low i_hy_bits_high probe_accuracy
decoder decoder_steps condition seconds warnings encoder_sha256 decoder_sha256
spike_in_bits spike_in_recovered spike_in_recovered_low spike_in_recovered_high
spike_in_mixed_recovered spike_in_mixed_recovered_low spike_in_mixed_recovered_high code_bits code_is_bottleneck
i_hy_bound_bits i_hy_bound_bits_low i_hy_bound_bits_high i_hy_bound_layer probe_warnings
upper_bound_bits distinct_activations injective stored_bits
information_change_bits information_high_with_change notes preference reconstruction_limit
"""


def test_columns_are_those_of_the_format():
    assert table_text(InformationRow, []) == ",".join(COLUMNS.split()) + "\n"


def test_any_reader_of_csv_understands_it(tmp_path):
    path = tmp_path / "information.csv"
    write_table(path, InformationRow, [row(h_x_bits=None, i_xh_bits=1 / 3, layer='a "b", c')])
    with path.open(newline="") as file:
        (found,) = csv.DictReader(file)
    assert found["i_xh_bits"] == "0.333333333"
    assert found["h_x_bits"] == ""
    assert found["layer"] == 'a "b", c'


def test_noise_of_the_last_digits_is_not_printed():
    assert table_text(InformationRow, [row(i_xh_bits=10.0 + 1e-13)]) == table_text(InformationRow, [row()])
    assert table_text(InformationRow, [row(i_xh_bits=10.000001)]) != table_text(InformationRow, [row()])


def test_nan_is_kept_apart_from_unknown(tmp_path):
    path = tmp_path / "information.csv"
    write_table(path, InformationRow, [row(lower_bound_bits=float("nan"), h_x_bits=None)])
    (found,) = read_table(path, InformationRow)
    assert math.isnan(found.lower_bound_bits)
    assert found.h_x_bits is None


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "information.csv"
    with pytest.raises(UserError, match=r"information\.csv is missing"):
        read_table(path, InformationRow)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="columns"):
        read_table(path, InformationRow)
    path.write_text("")
    with pytest.raises(UserError, match="columns"):
        read_table(path, InformationRow)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(path, InformationRow)
    text = table_text(InformationRow, [row(), replace(row(), epoch=1)])
    path.write_text(text.replace(",100,activations", ",many,activations", 1))
    with pytest.raises(UserError, match="Row 2 of"):
        read_table(path, InformationRow)
    path.write_text(text[:-20])  # cut off in the last row
    with pytest.raises(UserError, match="Row 3 of"):
        read_table(path, InformationRow)
