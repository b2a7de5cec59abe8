"""The controller of MONAS: a recurrent network that makes one choice after another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ib_analysis.search.space import ABSENT, Architecture, Space

__all__ = ["Controller"]


class Controller(nn.Module):
    """An LSTM with one softmax per choice, whose decision is the next step's input.

    It begins uniform over the options of each choice: the readouts begin at zero. A decision goes in as an embedding of
    its own, which is a linear map of its one-hot code. Choices that are not there are passed over.

    Arguments:
        space: what it chooses from.
        contexts: number of inputs that the first step may begin with, for instance one per weight of a reward.
        hidden: units of the LSTM.
        generator: of the initial weights; the global one if None.
    """

    def __init__(
        self, space: Space, contexts: int = 1, hidden: int = 32, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.space = space
        self.begin = nn.Embedding(contexts, hidden)
        self.decided = nn.ModuleList(nn.Embedding(len(choice.options), hidden) for choice in space.choices)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.readouts = nn.ModuleList(nn.Linear(hidden, len(choice.options)) for choice in space.choices)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-(hidden**-0.5), hidden**-0.5, generator=generator)
            for readout in self.readouts:
                for parameter in readout.parameters():
                    parameter.zero_()

    def sample(self, contexts: Sequence[int], generator: torch.Generator | None = None) -> list[Architecture]:
        """One architecture per context; the likeliest option of each choice where there is no generator."""
        made: list[list[int]] = [[] for _ in contexts]
        with torch.no_grad():
            state = self._start(contexts)
            for place, readout in enumerate(self.readouts):
                log_p = readout(state[0]).log_softmax(1)
                if generator is not None:
                    chosen = torch.multinomial(log_p.exp(), 1, generator=generator).squeeze(1)
                else:
                    chosen = log_p.argmax(1)
                there = torch.tensor([self.space.is_there(place, one) for one in made])
                chosen = torch.where(there, chosen, ABSENT)
                for one, k in zip(made, chosen.tolist(), strict=True):
                    one.append(k)
                state = self._step(place, chosen, state)
        return [tuple(one) for one in made]

    def forward(self, contexts: Sequence[int], architectures: Sequence[Architecture]) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of the choices that were made.

        Returns:
            Shapes (B,), (B,), in nats: log p(architecture | context), and the sum of the entropies of the softmaxes
            that were met on the way.
        """
        made = torch.tensor(architectures)
        state = self._start(contexts)
        log_probability, entropy = torch.zeros(len(made)), torch.zeros(len(made))
        for place, readout in enumerate(self.readouts):
            log_p, chosen = readout(state[0]).log_softmax(1), made[:, place]
            there = chosen != ABSENT
            taken = log_p.gather(1, chosen.clamp(min=0)[:, None]).squeeze(1)
            log_probability = log_probability + torch.where(there, taken, 0.0)
            entropy = entropy - torch.where(there, (log_p.exp() * log_p).sum(1), 0.0)
            state = self._step(place, chosen, state)
        return log_probability, entropy

    def probabilities(self, contexts: Sequence[int], architectures: Sequence[Architecture]) -> list[Tensor]:
        """Per choice, shape (B, options): what each choice was made from, on the way to these architectures."""
        with torch.no_grad():
            return [logits.softmax(1) for logits in self._logits(contexts, architectures)]

    def _logits(self, contexts: Sequence[int], architectures: Sequence[Architecture]) -> list[Tensor]:
        found = []
        state = self._start(contexts)
        for place, readout in enumerate(self.readouts):
            found.append(readout(state[0]))
            state = self._step(place, torch.tensor([one[place] for one in architectures]), state)
        return found

    def _start(self, contexts: Sequence[int]) -> tuple[Tensor, Tensor]:
        zeros = torch.zeros(len(contexts), self.cell.hidden_size)
        return self.cell(self.begin(torch.tensor(list(contexts))), (zeros, zeros))

    def _step(self, place: int, chosen: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = self.cell(self.decided[place](chosen.clamp(min=0)), state)
        there = (chosen != ABSENT)[:, None]
        return torch.where(there, h, state[0]), torch.where(there, c, state[1])
