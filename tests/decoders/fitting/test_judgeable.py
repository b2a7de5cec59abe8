"""Schedules that leave too few validations to judge a fit are refused: exactly those that `certify` cannot judge."""

from __future__ import annotations

import pytest

from decoders.fitting.certificate import certify, check_judgeable
from decoders.fitting.schedule import FittingConfig, cooldown_start
from decoders.fitting.warnings import TRAINING_TOO_SHORT_TO_TELL


def too_short(config: FittingConfig) -> bool:
    """What a certificate says of a curve with a point wherever a fit validates."""
    steps = [s for s in range(1, config.steps + 1) if s % config.validate_every == 0 or s == config.steps]
    bits = [20 + 3 * (step / config.steps) ** -0.5 for step in steps]
    found = certify(
        steps, bits, best_step=steps[-1], steps_done=steps[-1], early_stopped=False, steady_until=cooldown_start(config)
    )
    return TRAINING_TOO_SHORT_TO_TELL in found.warnings


@pytest.mark.parametrize("share", [0.0, 0.35, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("steps", [1000, 1500, 1501])
def test_refused_is_what_no_certificate_can_judge(steps: int, share: float) -> None:
    for every in (1, 2, 16, 17, 100, 150, 162, 163, 166, 167, 200, 249, 250, 251, 299, 300, 301, 1000, 5000):
        config = FittingConfig(steps=steps, cooldown_share=share, validate_every=every)
        if too_short(config):
            with pytest.raises(ValueError, match=f"mine.validate_every is {every}"):
                check_judgeable(config, "mine")
        else:
            check_judgeable(config)


def test_what_the_sentence_advises_would_do() -> None:
    config = FittingConfig(steps=9000, cooldown_share=0.35, validate_every=1000)
    with pytest.raises(ValueError, match=r"only 5 validations .* choose 975 or less"):
        check_judgeable(config)
    assert not too_short(FittingConfig(steps=9000, cooldown_share=0.35, validate_every=975))
    assert too_short(FittingConfig(steps=9000, cooldown_share=0.35, validate_every=976))


def test_a_trial_of_few_steps_is_let_through() -> None:
    config = FittingConfig(steps=999, validate_every=1000)
    assert too_short(config)
    check_judgeable(config)
