"""Number formats of encoders: AQT integers, which layer gets which, and what they cost."""

from ib_analysis.quantization.bounds import ActivationBounds, start_step
from ib_analysis.quantization.config import QuantizationConfig
from ib_analysis.quantization.convert import quantize, quantized_layers
from ib_analysis.quantization.cost import FormatCost, format_cost
from ib_analysis.quantization.formats import BINARY, LayerFormat, NumberFormat, number_format, plan
from ib_analysis.quantization.layers import Granularity, QuantizedLayer
from ib_analysis.quantization.taps import CodedTaps, CodeTap, code_taps

__all__ = [
    "BINARY",
    "ActivationBounds",
    "CodeTap",
    "CodedTaps",
    "FormatCost",
    "Granularity",
    "LayerFormat",
    "NumberFormat",
    "QuantizationConfig",
    "QuantizedLayer",
    "code_taps",
    "format_cost",
    "number_format",
    "plan",
    "quantize",
    "quantized_layers",
    "start_step",
]
