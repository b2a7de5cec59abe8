"""Networks whose every product is of signs: building block, input code, checker, settings, any Boolean function."""

from ib_analysis.binary.block import BinaryBlock, Code, ShiftedPReLU
from ib_analysis.binary.boolean import boolean_network
from ib_analysis.binary.checker import ProductReport, check_products, inspect_products
from ib_analysis.binary.config import BinaryNetworkConfig, BinaryTrainingConfig
from ib_analysis.binary.input_code import InputCode
from ib_analysis.binary.phase import Phase, set_phase
from ib_analysis.binary.products import BinaryConv2d, BinaryLinear
from ib_analysis.binary.signs import approximate_sign, sign, sign_of_weights

__all__ = [
    "BinaryBlock",
    "BinaryConv2d",
    "BinaryLinear",
    "BinaryNetworkConfig",
    "BinaryTrainingConfig",
    "Code",
    "InputCode",
    "Phase",
    "ProductReport",
    "ShiftedPReLU",
    "approximate_sign",
    "boolean_network",
    "check_products",
    "inspect_products",
    "set_phase",
    "sign",
    "sign_of_weights",
]
