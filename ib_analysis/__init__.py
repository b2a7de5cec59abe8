"""An information microscope for ResNets: what deep networks keep and forget, in bits."""
