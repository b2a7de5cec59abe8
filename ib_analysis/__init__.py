"""An information microscope for ResNets: what deep networks keep and forget, in bits."""

from ib_analysis.results import Results, load_results

__all__ = ["Results", "load_results"]
