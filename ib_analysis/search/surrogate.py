"""What predicts losses of architectures that have not been evaluated, from those that have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ib_analysis.search.space import ABSENT, Architecture, Space

__all__ = ["RecurrentSurrogate", "Surrogate"]

Losses = NDArray[np.float64]


class Surrogate(Protocol):
    """Learns from what was evaluated, and predicts what was not."""

    def fit(self, architectures: Sequence[Architecture], losses: Losses) -> None:
        """Learn; losses has shape (N, m). Called again with more of them."""
        ...

    def predict(self, architectures: Sequence[Architecture]) -> Losses:
        """Shape (N, m)."""
        ...


class RecurrentSurrogate:
    """An LSTM that reads the choices of an architecture one by one, and then says its losses.

    As in DPP-Net (Dong et al. 2018, arXiv 1806.08198), and in progressive search before it (Liu et al. 2018, arXiv
    1712.00559). Each fit goes on from the weights of the one before. Targets are standardised; losses beyond
    `WORTHLESS` count as that, so that networks that learned nothing do not rule the scale.

    Arguments:
        space: of the architectures.
        hidden: units of the LSTM.
        steps: of Adam, on all data at once, per fit.
        learning_rate: of Adam.
        weight_decay: decoupled, of AdamW.
        seed: of the initial weights.
    """

    def __init__(
        self,
        space: Space,
        hidden: int = 48,
        steps: int = 120,
        learning_rate: float = 0.01,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.space, self.hidden, self.steps, self.seed = space, hidden, steps, seed
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self._network: _Reader | None = None
        self._mean, self._spread = torch.zeros(1), torch.ones(1)

    def fit(self, architectures: Sequence[Architecture], losses: Losses) -> None:
        """See `Surrogate`."""
        targets = torch.tensor(np.minimum(losses, WORTHLESS), dtype=torch.float32)
        self._mean, self._spread = targets.mean(0), targets.std(0, correction=0).clamp(min=1e-6)
        if self._network is None:
            generator = torch.Generator().manual_seed(self.seed)
            self._network = _Reader(self.space, targets.shape[1], self.hidden, generator)
        tokens, wanted = torch.tensor(architectures), (targets - self._mean) / self._spread
        optimiser = torch.optim.AdamW(self._network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        for _ in range(self.steps):
            loss = (self._network(tokens) - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

    def predict(self, architectures: Sequence[Architecture]) -> Losses:
        """See `Surrogate`.

        Raises:
            RuntimeError: it has not been fitted.
        """
        if self._network is None:
            raise RuntimeError("the surrogate has not been fitted yet.")
        with torch.no_grad():
            predicted = self._network(torch.tensor(architectures)) * self._spread + self._mean
        return predicted.double().numpy()


WORTHLESS = 2.0
"""A loss from which on it does not matter how much worse a network is; 1 is the reference."""


class _Reader(nn.Module):
    def __init__(self, space: Space, outputs: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        widest = max(len(choice.options) for choice in space.choices) + 1  # one more for what is not there
        self.offsets = torch.arange(len(space.choices)) * widest - ABSENT
        self.tokens = nn.Embedding(widest * len(space.choices), hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, outputs)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-(hidden**-0.5), hidden**-0.5, generator=generator)

    def forward(self, indices: Tensor) -> Tensor:
        """From indices of options, shape (B, choices), to standardised losses, shape (B, outputs)."""
        states, _ = self.lstm(self.tokens(indices + self.offsets))
        return self.readout(states[:, -1])
