"""The shape of a jump, noise-free and at its limits."""

from math import exp, expm1

import pytest

from cbrn_core.errors import ShapeError
from cbrn_fusion.shape import Jump, Shape, judge

TAU_S = 13.0288344571


def jump(deltas, ages_s=None, tau_s=TAU_S, sigma=0.2, at_once=None, interval_s=1.0):
    return Jump(
        deltas=deltas,
        at_once=deltas[0] if at_once is None else at_once,
        ages_s=ages_s if ages_s is not None else list(range(len(deltas))),
        interval_s=interval_s,
        tau_s=tau_s,
        sigma=sigma,
        base_variance=0.015,
        slope_variance=0.19,
    )


def held(exposure, count, tau_s=TAU_S, onset_s=0.0):
    return [exposure * -expm1(-(k - onset_s) / tau_s) for k in range(1, count + 1)]


def test_a_large_flat_jump_is_a_step_at_the_second_sample():
    verdict = judge(jump([20.0, 20.0]))
    assert verdict.shape is Shape.STEP
    assert verdict.jump == pytest.approx(20.0)
    assert verdict.exposure == pytest.approx(20.0)


def test_a_flat_jump_of_twelve_sigma_needs_four_samples():
    shapes = [judge(jump([2.4] * count)).shape for count in (2, 3, 4)]
    assert shapes == [Shape.SUSPECT, Shape.SUSPECT, Shape.STEP]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("height", [1.0, 1.59])
def test_a_jump_below_eight_sigma_is_never_a_step(height, count):
    assert judge(jump([height] * count)).shape not in {Shape.STEP, Shape.SUSPECT}


@pytest.mark.parametrize("onset_s", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("exposure", [30.0, 300.0, 1e5])
def test_a_held_exposure_is_a_lag_at_the_second_sample(exposure, onset_s):
    verdict = judge(jump(held(exposure, 2, onset_s=onset_s)))
    assert verdict.shape is Shape.LAG
    assert verdict.exposure == pytest.approx(exposure)


@pytest.mark.parametrize("tau_s", [0.05, 0.3, 1.4])
def test_where_the_lag_hardly_outlasts_the_interval_nothing_is_a_step(tau_s):
    for count in (2, 3, 4):
        assert judge(jump([40.0] * count, tau_s=tau_s)).shape in {Shape.LAG, Shape.UNDECIDED}


def test_a_puff_that_has_ended_is_unclear_and_so_gas():
    decay = [22.0 * exp(-k / TAU_S) for k in range(4)]
    shapes = [judge(jump(decay[:count])).shape for count in (2, 3, 4)]
    assert Shape.STEP not in shapes
    assert shapes[-1] is Shape.UNCLEAR


def test_a_rise_between_flat_and_held_is_unclear_and_so_gas():
    deltas = [10.0, 13.0, 15.8, 18.4]
    assert judge(jump(deltas)).shape is Shape.UNCLEAR


def test_a_jump_that_took_two_samples_is_not_at_once():
    assert judge(jump([20.0] * 4, at_once=0.5)).shape is not Shape.STEP


def test_the_second_interval_may_differ_from_the_first():
    assert judge(jump([20.0, 20.0], ages_s=[0.0, 3.0])).shape is Shape.STEP
    late = [30 * -expm1(-1 / TAU_S), 30 * -expm1(-4 / TAU_S)]
    assert judge(jump(late, ages_s=[0.0, 3.0])).shape is Shape.LAG


@pytest.mark.parametrize(
    ("deltas", "ages_s"), [([5.0], [0.0]), ([5.0, 5.0], [0.0]), ([5.0, 5.0], [0.0, 0.0])]
)
def test_samples_that_make_no_shape_are_refused(deltas, ages_s):
    with pytest.raises(ShapeError):
        judge(jump(deltas, ages_s=ages_s))
