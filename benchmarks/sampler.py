"""Speed of cached sampling against naive sampling (the whole network anew for every pixel) of the same model.

    python benchmarks/sampler.py [--images 16] [--size 32] [--channels 3] [--output logistic_mixture] ...

Prints seconds for both and their ratio. The naive sampler costs the same for every pixel (one pass through the
network and one draw), so by default it is timed on some pixels and scaled up, which the output says; `--naive-pixels
0` times all of them. Both samplers draw the same images from the same random numbers: in float64 to the pixel, as the
tests show.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from decoders import Architecture, ImageSpace, PixelCNNPP, PixelCNNPPConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16, help="images drawn at once")
    parser.add_argument("--size", type=int, default=32, help="height and width in pixels")
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3))
    parser.add_argument("--intensities", type=int, default=256)
    parser.add_argument("--output", default="logistic_mixture", choices=("logistic_mixture", "categorical"))
    parser.add_argument("--blocks", type=int, default=1, help="gated blocks per resolution")
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--naive-pixels", type=int, default=16, help="pixels to time naively; 0 for all")
    parser.add_argument("--repeats", type=int, default=3, help="cached runs; the median counts")
    options = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    image = ImageSpace(options.channels, options.size, options.size, options.intensities)
    architecture = Architecture(blocks=options.blocks, filters=options.filters, output=options.output)
    decoder = PixelCNNPP(PixelCNNPPConfig(image, architecture)).to(device).eval()
    x = torch.randint(options.intensities, (8, options.channels, options.size, options.size), device=device)
    decoder.initialise(x)
    distribution = decoder(batch_size=options.images)

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def cached_seconds() -> float:
        start = clock()
        distribution.sample()
        return clock() - start

    cached_seconds()  # warm-up
    cached = statistics.median(cached_seconds() for _ in range(options.repeats))

    pixels = options.size**2
    timed = min(options.naive_pixels, pixels) or pixels
    x = torch.zeros(options.images, options.channels, options.size, options.size, dtype=torch.long, device=device)
    with torch.inference_mode():
        for pixel in range(-2, timed):  # two for warm-up
            if pixel == 0:
                start = clock()
            row, column = divmod(max(pixel, 0), options.size)
            parameters = decoder.output_parameters(decoder.input_features(x), None)
            uniforms = torch.rand(options.images, decoder.output.n_uniforms, device=device)
            x[:, :, row, column] = decoder.output.sample(parameters[:, :, row, column], uniforms)
        naive = (clock() - start) * pixels / timed
    scaled = "" if timed == pixels else f" (timed on {timed} of {pixels} pixels and scaled up)"

    resolutions = "/".join(str(height) for height, _ in decoder.sizes)
    print(
        f"{options.images} images {options.size}x{options.size}x{options.channels}, {options.output}, "
        f"{options.blocks} blocks, {options.filters} filters, resolutions {resolutions}, float32, "
        f"{device.type}, {torch.get_num_threads()} threads"
    )
    print(f"cached {cached:9.2f} s")
    print(f"naive  {naive:9.2f} s{scaled}")
    print(f"ratio  {naive / cached:9.0f}")


if __name__ == "__main__":
    main()
