"""From a layer's activations to feature maps at every resolution of the decoder; the null condition.

A layer of the encoder may be finer or, usually, coarser than the image. Enlarging a coarse map would hand the same
values to all pixels of a patch; here every pixel has its own linear read-out of the activations of its patch
(sub-pixel convolution, Shi et al. 2016, arXiv 1609.05158). Cells of a layer share the read-out; each has a small
correction of its own, and a scale and shift per feature map (FiLM, Perez et al. 2018, arXiv 1709.07871).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoders.config import PixelCNNPPConfig, resolution_sizes
from decoders.grid import depth_to_space, grid_of
from decoders.matrices import Matrix
from decoders.readings import LARGEST, CellReadings, Conditions, LayerReading

__all__ = ["Conditioning", "LayerProjection"]


class LayerProjection(LayerReading):
    """Reads feature maps of the image's size from a layer's activations.

    Activations are brought to a grid that divides the image (vectors by a dense map to about 4x4), and a 1x1
    convolution with sub-pixel outputs reads the features of every pixel. Cells of the layer are numbered.

    Arguments:
        shape: (C, h, w) or (C,) of the activations.
        size: (H, W) of the image.
        filters: feature maps.
        n_cells: cells of this layer.
        adapters: whether each cell has its own correction of the read-out.
    """

    def __init__(
        self, shape: tuple[int, ...], size: tuple[int, int], filters: int, n_cells: int, adapters: bool
    ) -> None:
        super().__init__(shape, n_cells)
        self.size, self.filters = size, filters
        channels = shape[0]
        self.grid = grid_of(shape, size)
        self.dense: nn.Linear | None = None
        if self.grid.is_map:
            inputs = channels * self.grid.fold[0] * self.grid.fold[1]
        else:
            inputs = 4 * filters
            self.dense = nn.Linear(channels, inputs * self.grid.size[0] * self.grid.size[1])
        outputs = filters * self.grid.pixels[0] * self.grid.pixels[1]
        # Standardised inputs and weights of variance 1 / fan-in: the read-outs have unit scale.
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * inputs**-0.5)
        self.matrices = {"weight": Matrix(0)}
        self.bias = nn.Parameter(torch.zeros(outputs))
        if self.dense is not None:
            nn.init.normal_(self.dense.weight, std=channels**-0.5)
            nn.init.zeros_(self.dense.bias)
        self.cell_scale = nn.Parameter(torch.zeros(n_cells, filters))
        self.cell_shift = nn.Parameter(torch.zeros(n_cells, filters))
        adapted = self.weight if self.dense is None else self.dense.weight
        self.adapters = nn.Parameter(torch.zeros(n_cells, *adapted.shape)) if adapters else None

    def cell_parameters(self) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """Scale, shift and correction of every cell."""
        adapters = [None] * len(self.cell_scale) if self.adapters is None else self.adapters.unbind(0)
        return list(zip(self.cell_scale.unbind(0), self.cell_shift.unbind(0), adapters, strict=True))

    def forward(self, activations: Tensor, cell: int, own: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """(B, C, h, w) or (B, C) of one cell, and its parameters, to (B, filters, H, W)."""
        scale, shift, adapter = own
        x = self.standardised(activations, cell).clamp(-LARGEST, LARGEST)
        weight: Tensor = self.weight
        if self.dense is not None:
            dense = self.dense.weight if adapter is None else self.dense.weight + adapter
            x = F.linear(x.flatten(1), dense, self.dense.bias).unflatten(1, (-1, *self.grid.size))
        else:
            if adapter is not None:
                weight = weight + adapter
            x = self.grid.bring(x)
        # Scale and shift are applied to the small weight instead of the large map.
        weight = (weight.view(self.filters, -1) * (1 + scale).unsqueeze(1)).view(len(weight), -1, 1, 1)
        bias = (self.bias.view(self.filters, -1) * (1 + scale).unsqueeze(1) + shift.unsqueeze(1)).flatten()
        return depth_to_space(F.conv2d(x, weight, bias), self.grid.pixels)

    def read(self, parts: Sequence[tuple[Tensor, int, tuple[Tensor, Tensor, Tensor | None]]]) -> Tensor:
        """See `LayerReading`."""
        found = [self(*part) for part in parts]
        return found[0] if len(found) == 1 else torch.cat(found)


class Conditioning(CellReadings):
    """Feature maps of a minibatch's conditions at every resolution.

    Arguments:
        config: the decoder's; it must name at least one cell, or mark a pixel.
    """

    def __init__(self, config: PixelCNNPPConfig) -> None:
        image, chosen = config.image, config.architecture
        sizes = resolution_sizes(image.height, image.width, chosen.resolutions)
        super().__init__(
            config.cells,
            lambda shape, n_cells: LayerProjection(
                shape, sizes[0], chosen.condition_filters, n_cells, chosen.cell_adapters
            ),
        )
        self.size = sizes[0]
        filters = chosen.condition_filters
        self.null = nn.Parameter(torch.randn(filters))
        self.mark: nn.Parameter | None = None
        if config.marked_pixels:
            self.mark = nn.Parameter(torch.randn(filters))
            marks = torch.zeros(sizes[0][0] * sizes[0][1])
            marks[list(config.marked_pixels)] = 1
            self.marks: Tensor
            self.register_buffer("marks", marks.view(sizes[0]), persistent=False)
        self.refine = nn.Conv2d(filters, filters, 3, padding=1)
        self.coarsen = nn.ModuleList(nn.Conv2d(filters, filters, 2, 2) for _ in sizes[1:])

    def forward(self, condition: Conditions, null_mask: Tensor | None) -> list[Tensor]:
        """Feature maps (B, filters, H, W), finest first; B is 1 where all images see the null condition.

        Raises:
            ValueError: unknown cell, wrong shape, or a mask of another length than the conditions.
        """
        features = self.null.view(1, -1, 1, 1).expand(1, -1, *self.size)
        if condition is not None:
            projected = self.read(condition)
            if null_mask is not None:
                if null_mask.shape != projected.shape[:1]:
                    raise ValueError(f"null_mask {tuple(null_mask.shape)} does not fit {len(projected)} conditions")
                projected = torch.where(null_mask.view(-1, 1, 1, 1), features.to(projected.dtype), projected)
            features = projected
        if self.mark is not None:
            # Under the null condition too: which pixels are special is no information about an image.
            features = features + self.mark.view(-1, 1, 1) * self.marks
        # Without a nonlinearity around it, the read-out reaches the gates as it is.
        maps = [features + self.refine(F.elu(features))]
        for coarsen in self.coarsen:
            maps.append(F.elu(coarsen(maps[-1])))
        return maps
