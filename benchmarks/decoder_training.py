"""Model-FLOPs utilisation of decoder training: its operations per second against a large matrix product's.

    python benchmarks/decoder_training.py [--threads 1] [--seconds 5]

Both are measured in this run, on one device, in float32 without TF32, and the ratio is what counts. Operations are
those of torch's FLOP counter, a backward pass counted as two forward passes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from decoders import Architecture, ImageSpace, PixelCNNPP, PixelCNNPPConfig
from decoders.precision import full_precision

SIZES = {
    "12x12 grey, 1 block, 16 filters": (ImageSpace(1, 12, 12, 16), Architecture(1, 16, "categorical", dropout=0.0), 32),
    "16x16 grey, 1 block, 16 filters": (ImageSpace(1, 16, 16, 256), Architecture(1, 16, components=5), 32),
    "32x32 colour, 1 block, 32 filters": (ImageSpace(3, 32, 32, 256), Architecture(1, 32), 16),
    "32x32 colour, 2 blocks, 64 filters": (ImageSpace(3, 32, 32, 256), Architecture(2, 64), 8),
}


def calls_per_second(work: Callable[[], None], device: torch.device, seconds: float) -> float:
    """Calls in at least ``seconds``, after one that warms up."""
    work()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        work()
        count += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


# A matrix product is float32 by default and a convolution TF32: like is to be compared with like.
@full_precision()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    side = 2048
    square = torch.randn(side, side, device=device)
    product = torch.empty_like(square)
    peak = 2 * side**3 * calls_per_second(lambda: torch.matmul(square, square, out=product), device, options.seconds)
    print(f"reference: float32 matrix product {side}x{side} on {device}, {options.threads} threads: {peak:.3g} FLOP/s")
    print(f"{'decoder':38s} {'ms/image':>9s} {'FLOP/s':>9s} {'share of reference':>19s}")
    for name, (image, architecture, batch) in SIZES.items():
        decoder = PixelCNNPP(PixelCNNPPConfig(image, architecture)).to(device)
        x = torch.randint(image.intensities, (batch, image.channels, image.height, image.width), device=device)
        decoder.initialise(x)
        with FlopCounterMode(display=False) as counter:
            decoder().log_prob(x)
        flops = 3 * counter.get_total_flops()

        def step(decoder: PixelCNNPP = decoder, x: torch.Tensor = x) -> None:
            decoder.zero_grad()
            (-decoder().log_prob(x).mean()).backward()

        rate = calls_per_second(step, device, options.seconds)
        print(f"{name:38s} {1e3 / rate / batch:9.2f} {flops * rate:9.3g} {flops * rate / peak:18.1%}")


if __name__ == "__main__":
    main()
