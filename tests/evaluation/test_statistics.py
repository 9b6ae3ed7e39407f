"""Bootstrap intervals against values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from evaluation.statistics import bootstrap_difference, bootstrap_interval


def test_bootstrap_draws_scenes_not_instances():
    right = torch.arange(40) % 4 > 0  # of 40 scenes three in four, all five instances of a scene alike
    values, scenes = right.repeat_interleave(5), torch.arange(40).repeat_interleave(5) * 3 + 7
    of_instances = bootstrap_interval(right)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    of_scenes = bootstrap_interval(values[order], scenes[order])
    assert of_scenes == pytest.approx(of_instances)  # five times the same answer is no more evidence
    assert of_scenes.mean == 0.75
    assert of_scenes.high - of_scenes.low == pytest.approx(2 * 1.96 * math.sqrt(0.75 * 0.25 / 40), rel=0.1)
    blind = bootstrap_interval(values)
    assert blind.high - blind.low < 0.6 * (of_scenes.high - of_scenes.low)


def test_bootstrap_weighs_scenes_by_their_instances():
    values, scenes = torch.tensor([1.0, 1, 1, 0]), torch.tensor([0, 0, 0, 1])
    # two draws of {three right, one wrong}: 1 with 1/4, 0 with 1/4, 3/4 with 1/2
    assert bootstrap_interval(values, scenes) == (0.75, 0.0, 1.0)
    assert bootstrap_interval(values, scenes, level=0.4) == (0.75, 0.75, 0.75)


def test_bootstrap_is_the_same_for_the_same_seed():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=300))
    state = torch.get_rng_state()
    first = bootstrap_interval(values, samples=200)
    assert bootstrap_interval(values, samples=200) == first
    assert bootstrap_interval(values, samples=200, seed=1) != first
    assert torch.equal(torch.get_rng_state(), state)
    assert first.low < first.mean < first.high and first.mean == pytest.approx(values.mean().item())
    narrow = bootstrap_interval(values, samples=200, level=0.5)
    assert narrow.high - narrow.low < 0.5 * (first.high - first.low)


def test_paired_difference_is_narrower_than_either():
    rng = np.random.default_rng(0)
    easy = torch.from_numpy(rng.normal(0, 10, 60)).repeat_interleave(3)
    scenes = torch.arange(60).repeat_interleave(3)
    a, b = easy + 1.0, easy + torch.from_numpy(rng.normal(0, 0.5, 180))
    difference = bootstrap_difference(a, b, scenes)
    assert difference.mean == pytest.approx((a - b).mean().item()) and difference.low > 0.8
    alone = bootstrap_interval(a, scenes)
    assert difference.high - difference.low < 0.1 * (alone.high - alone.low)


def test_values_that_have_no_mean_or_no_partner_are_refused():
    for values in (torch.tensor([1.0, math.nan]), torch.tensor([])):
        with pytest.raises(ValueError, match="finite"):
            bootstrap_interval(values)
    with pytest.raises(ValueError, match="match"):
        bootstrap_difference(torch.ones(3), torch.ones(1))
