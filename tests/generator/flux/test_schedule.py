"""Noise levels: the published ones, and those that somebody chooses."""

import pytest
import torch
from needs_flux import skip_without_flux

from bokehdepth_core.generator.flux.architectures import FLUX1, FLUX2
from bokehdepth_core.generator.flux.schedule import (
    MAX_LEVELS,
    check_noise_levels,
    noise_levels,
    shift_of,
)

skip_without_flux()


def of_diffusers(steps, mu):
    import numpy as np
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    return scheduler.sigmas


@pytest.mark.parametrize("steps", [1, 4, 8, 50, 200])
@pytest.mark.parametrize("tokens", [24, 1024, 4096, 4300, 4301, 9216])
def test_levels_equal_those_of_diffusers_pipelines(steps, tokens):
    from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift
    from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu

    shifts = {
        FLUX1: calculate_shift(tokens, 256, 4096, 0.5, 1.15),
        FLUX2: compute_empirical_mu(tokens, steps),
    }
    for family, mu in shifts.items():
        assert shift_of(family, steps, tokens) == pytest.approx(mu, rel=1e-9)
        levels = noise_levels(family, steps, tokens)
        assert len(levels) == steps + 1
        torch.testing.assert_close(levels, of_diffusers(steps, mu), rtol=0, atol=1e-6)


def test_chosen_levels_end_at_zero():
    assert check_noise_levels(torch.tensor([1.0, 0.25])) == (1.0, 0.25, 0.0)
    assert check_noise_levels([0.9, 0.0]) == (0.9, 0.0)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "^sigmas: give 2 to 1001 noise levels: found 0"),
        ([0.0], "^sigmas: give noise levels that fall from 1 to 0: found 0"),
        ([1.0, 1.0, 0.0], "^sigmas: give noise levels that fall"),
        ([14.6, 1.0, 0.0], "^sigmas: "),
        ([float("nan"), 0.0], "^sigmas: "),
        ([0.5] * (MAX_LEVELS + 1), "^sigmas: give 2 to"),
    ],
)
def test_levels_that_cannot_be_sampled_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        check_noise_levels(levels)
