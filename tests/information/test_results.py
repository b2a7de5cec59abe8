import json

import h5py
import numpy as np
import pytest
from result_rows import row

from ib_analysis.artifacts import UserError
from ib_analysis.information.table import FactorRow, InformationRow, write_table
from ib_analysis.results import load_results

RUN = "classification_float32_seed0"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "toy"
    (folder / "encoders" / RUN).mkdir(parents=True)
    write_table(folder / "information.csv", InformationRow, [row(), row(epoch=1, h_x_bits=None)])
    factor = FactorRow("toy", "classification", "float32", 0, 1, "h1", "scale", 2.0, 0.5, 1.0, 1.0, 0.9, 1.1)
    write_table(folder / "factors.csv", FactorRow, [factor])
    (folder / "encoders" / RUN / "training.csv").write_text(
        "epoch,split,loss,accuracy,psnr_db\n0,train,2.5,0.1,\n0,evaluation,2.6,0.11,\n"
    )
    (folder / "config.yaml").write_text("name: toy\nencoder: {width: 16}\n")
    (folder / "data.json").write_text(json.dumps({"h_x_bits": 14.5, "image_shape": [1, 8, 8]}))
    with h5py.File(folder / "code_lengths.h5", "w") as file:
        file["null"] = np.arange(5.0)
        file[f"{RUN}_decoder0/own_null"] = np.arange(5.0) + 1
        file[f"{RUN}_decoder0/epoch_0001/h1"] = np.arange(5.0) + 2
        file[f"{RUN}_decoder1/epoch_0001_h1/epoch_0001/h1"] = np.arange(5.0) + 3
        file["maps/null"] = np.full((1, 2, 2), 4.0)
        file[f"maps/{RUN}_decoder0/epoch_0001/h1"] = np.full((1, 2, 2), 2.0)
        file[f"maps/{RUN}_decoder1/epoch_0001_h1/epoch_0001/h1"] = np.full((1, 2, 2), 3.0)
    return folder


def test_everything_is_there(folder):
    results = load_results("toy", root=folder.parent)
    assert [cell.epoch for cell in results.information] == [0, 1]
    assert results.config["encoder"]["width"] == 16
    assert results.data["image_shape"] == [1, 8, 8]
    assert results.factors[0].true_bits == 2.0
    assert results.training[1] == {
        "run": RUN,
        "epoch": 0,
        "split": "evaluation",
        "loss": 2.6,
        "accuracy": 0.11,
        "psnr_db": None,
    }


def test_columns_are_arrays(folder):
    columns = load_results("toy", folder.parent).arrays()
    np.testing.assert_array_equal(columns["epoch"], [0, 1])
    assert columns["epoch"].dtype.kind == "i"
    np.testing.assert_array_equal(columns["h_x_bits"], [14.5, np.nan])
    assert list(columns["layer"]) == ["h1", "h1"]
    factors = load_results("toy", folder.parent).factor_arrays()
    assert factors["bits"].tolist() == [1.0]


def test_code_lengths_of_shared_and_dedicated_decoders(folder):
    results = load_results("toy", folder.parent)
    np.testing.assert_array_equal(results.null_code_lengths(), np.arange(5.0))
    np.testing.assert_array_equal(results.own_null_code_lengths(f"{RUN}_decoder0"), np.arange(5.0) + 1)
    np.testing.assert_array_equal(results.code_lengths(RUN, 1, "h1"), np.arange(5.0) + 2)
    np.testing.assert_array_equal(results.code_lengths(RUN, 1, "h1", decoder_seed=1), np.arange(5.0) + 3)
    with pytest.raises(UserError, match="epoch_0007/h1"):
        results.code_lengths(RUN, 7, "h1")


def test_mean_maps_of_shared_and_dedicated_decoders(folder):
    results = load_results("toy", folder.parent)
    np.testing.assert_array_equal(results.null_mean_code_length_map(), np.full((1, 2, 2), 4.0))
    np.testing.assert_array_equal(results.mean_code_length_map(RUN, 1, "h1"), np.full((1, 2, 2), 2.0))
    np.testing.assert_array_equal(results.mean_code_length_map(RUN, 1, "h1", decoder_seed=1), np.full((1, 2, 2), 3.0))
    with pytest.raises(UserError, match=rf"holds no 'maps/{RUN}_decoder0/epoch_0007/h1'; .* {RUN}_decoder1\.$"):
        results.mean_code_length_map(RUN, 7, "h1")
    with h5py.File(folder / "code_lengths.h5", "a") as file:
        del file["maps/null"]
    with pytest.raises(UserError, match="holds no 'maps/null'"):
        results.null_mean_code_length_map()


def test_an_experiment_without_known_factors(folder):
    (folder / "factors.csv").unlink()
    assert load_results("toy", folder.parent).factors == []


def test_missing_unfinished_and_damaged_experiments_are_named(folder):
    with pytest.raises(UserError, match=r"no experiment 'other' .*finished ones: toy"):
        load_results("other", folder.parent)
    (folder / "code_lengths.h5").write_bytes(b"not HDF5")
    with pytest.raises(UserError, match=r"code_lengths\.h5 cannot be read"):
        load_results("toy", folder.parent).null_code_lengths()
    (folder / "code_lengths.h5").unlink()
    with pytest.raises(UserError, match=r"code_lengths\.h5 is missing"):
        load_results("toy", folder.parent).null_code_lengths()
    training = folder / "encoders" / RUN / "training.csv"
    training.write_text("epoch,split,loss\nfirst,train,1\n")
    with pytest.raises(UserError, match=r"training\.csv cannot be read"):
        load_results("toy", folder.parent)
    training.unlink()
    (folder / "data.json").write_text("[1, 2")
    with pytest.raises(UserError, match=r"data\.json cannot be read"):
        load_results("toy", folder.parent)
    (folder / "config.yaml").unlink()
    with pytest.raises(UserError, match=r"config\.yaml is missing"):
        load_results("toy", folder.parent)
    (folder / "information.csv").unlink()
    with pytest.raises(UserError, match="not finished"):
        load_results("toy", folder.parent)
