"""Rows of results for tests."""

from ib_analysis.information.table import InformationRow


def row(**changes) -> InformationRow:
    fields = {
        "experiment": "toy",
        "task": "classification",
        "number_format": "float32",
        "encoder_seed": 0,
        "decoder_seed": 0,
        "epoch": 0,
        "layer": "h1",
        "channels": 16,
        "height": 8,
        "width": 8,
        "n_images": 100,
        "i_xh_bits": 10.0,
        "i_xh_bits_low": 9.5,
        "i_xh_bits_high": 10.5,
        "i_xh_bits_per_dim": 0.1,
        "code_length_bits": 5.0,
        "null_code_length_bits": 15.0,
        "own_null_code_length_bits": None,
        "h_x_bits": 14.5,
        "lower_bound_bits": 9.5,
        "lower_bound_bits_low": 9.0,
        "lower_bound_bits_high": 10.0,
        "i_hy_linear_bits": 1.0,
        "i_hy_mlp_bits": 1.2,
        "i_hy_bits": 1.2,
        "i_hy_bits_low": 1.1,
        "i_hy_bits_high": 1.3,
        "probe_accuracy": 0.75,
        "decoder": "classification_float32_seed0_decoder0",
        "decoder_steps": 100,
        "condition": "activations",
        "seconds": 1.5,
        "warnings": "",
        "encoder_sha256": "aa",
        "decoder_sha256": "bb",
    }
    return InformationRow(**{**fields, **changes})
