"""What can be chosen: named choices, some of which are there only if others were decided in some way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Architecture", "Choice", "Option", "Space"]

Option = str | int | float
Architecture = tuple[int, ...]
"""One place per choice of a space: the index of the option taken, `ABSENT` where the choice is not there."""

ABSENT = -1


@dataclass(frozen=True)
class Choice:
    """One decision.

    Arguments:
        name: unique in its space.
        options: what there is to choose from, at least one, all different.
        only_if: name of an earlier choice -> the options of it with which this choice is there; all must hold. Empty:
            it is always there.
    """

    name: str
    options: tuple[Option, ...]
    only_if: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """All architectures that a search may try.

    Arguments:
        choices: in the order in which they are decided.

    Raises:
        ValueError: a name or an option twice, no options, or a condition on what is not an earlier choice or option.

    >>> space = Space((Choice("kind", ("basic", "binary")), Choice("bits", (4, 8), only_if={"kind": ("basic",)})))
    >>> len(space), space.values((0, 1)), space.values((1, -1))
    (3, {'kind': 'basic', 'bits': 8}, {'kind': 'binary'})
    """

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("a space needs at least one choice.")
        earlier: dict[str, Choice] = {}
        for choice in self.choices:
            if choice.name in earlier:
                raise ValueError(f"the choice {choice.name!r} is there twice; give each name once.")
            if not choice.options or len(set(choice.options)) != len(choice.options):
                raise ValueError(f"the choice {choice.name!r} needs options, each of them once.")
            for name, options in choice.only_if.items():
                if name not in earlier:
                    raise ValueError(f"{choice.name!r} depends on {name!r}, which is no choice before it.")
                for option in options:
                    if option not in earlier[name].options:
                        raise ValueError(f"{choice.name!r} depends on {name!r} being {option!r}, which it cannot be.")
            earlier[choice.name] = choice

    def __len__(self) -> int:
        """`size`, where Python can tell it."""
        return self.size

    @property
    def size(self) -> int:
        """Number of architectures, without making them: beginnings that later choices cannot tell apart count together.

        >>> layers = [Choice("layer_0", (0, 1))]
        >>> layers += [Choice(f"layer_{k}", (0, 1), only_if={f"layer_{k - 1}": (1,)}) for k in range(1, 50)]
        >>> Space(tuple(layers)).size  # it ends after any of the 50, or goes on to the end
        51
        """
        counts: dict[Architecture, int] = {(): 1}
        for place, choice in enumerate(self.choices):
            asked = {name for later in self.choices[place + 1 :] for name in later.only_if}
            after: dict[Architecture, int] = {}
            for start, count in counts.items():
                for k in range(len(choice.options)) if self.is_there(place, start) else (ABSENT,):
                    # Decisions that no later choice asks for are all written alike.
                    end = tuple(
                        one if other.name in asked else ABSENT
                        for one, other in zip((*start, k), self.choices[: place + 1], strict=True)
                    )
                    after[end] = after.get(end, 0) + count
            counts = after
        return sum(counts.values())

    def architectures(self) -> Iterator[Architecture]:
        """All of them, the last choice varying fastest."""
        waiting: list[Architecture] = [()]
        while waiting:
            start = waiting.pop()
            if len(start) == len(self.choices):
                yield start
            elif self.is_there(len(start), start):
                waiting += [(*start, k) for k in reversed(range(len(self.choices[len(start)].options)))]
            else:
                waiting.append((*start, ABSENT))

    def is_there(self, place: int, decided: Sequence[int]) -> bool:
        """Whether the choice at a place is to be decided, given at least all decisions before it."""
        only_if = self.choices[place].only_if
        if not only_if:
            return True
        indices = {choice.name: k for k, choice in enumerate(self.choices[:place])}
        return all(
            decided[indices[name]] != ABSENT and self.choices[indices[name]].options[decided[indices[name]]] in options
            for name, options in only_if.items()
        )

    def values(self, architecture: Architecture) -> dict[str, Option]:
        """Name -> option of the choices that are there."""
        pairs = zip(self.choices, architecture, strict=True)
        return {choice.name: choice.options[k] for choice, k in pairs if k != ABSENT}

    def architecture(self, values: Mapping[str, Option]) -> Architecture:
        """The inverse of `values`.

        Raises:
            ValueError: a choice is missing, or there though it must not be, or has an option that it cannot have.

        >>> Space((Choice("width", (8, 16)),)).architecture({"width": 16})
        (1,)
        """
        decided: list[int] = []
        for place, choice in enumerate(self.choices):
            there = self.is_there(place, decided)
            if there != (choice.name in values):
                what = "has no value" if there else "has a value, though the choices before it leave no place for it"
                raise ValueError(f"{choice.name} {what}.")
            if there and values[choice.name] not in choice.options:
                known = ", ".join(map(str, choice.options))
                raise ValueError(f"{choice.name} is {values[choice.name]!r}; it can be {known}.")
            decided.append(choice.options.index(values[choice.name]) if there else ABSENT)
        if unknown := sorted(set(values) - {choice.name for choice in self.choices}):
            raise ValueError(f"there is no choice {', '.join(unknown)}.")
        return tuple(decided)

    def random(self, rng: np.random.Generator) -> Architecture:
        """One whose choices, in their order, are uniform over their options."""
        decided: list[int] = []
        for place, choice in enumerate(self.choices):
            there = self.is_there(place, decided)
            decided.append(int(rng.integers(len(choice.options))) if there else ABSENT)
        return tuple(decided)

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All that differ in one decision; choices that this one brings in take their first option.

        >>> Space((Choice("a", (1, 2)), Choice("b", (1, 2, 3)))).neighbours((0, 2))
        [(1, 2), (0, 0), (0, 1)]
        """
        found = []
        for place, choice in enumerate(self.choices):
            if architecture[place] == ABSENT:
                continue
            for k in range(len(choice.options)):
                if k != architecture[place]:
                    found.append(self.settled((*architecture[:place], k, *architecture[place + 1 :])))
        return found

    def settled(self, indices: Sequence[int]) -> Architecture:
        """The architecture with these decisions, without those that are not there and with first options where needed.

        >>> space = Space((Choice("a", (1, 2)), Choice("b", (1, 2), only_if={"a": (2,)})))
        >>> space.settled((0, 1)), space.settled((1, -1))
        ((0, -1), (1, 0))
        """
        decided: list[int] = []
        for place, k in enumerate(indices):
            decided.append(max(k, 0) if self.is_there(place, decided) else ABSENT)
        return tuple(decided)
