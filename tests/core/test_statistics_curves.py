import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import fit_power_law


@given(st.floats(0, 0.4), st.floats(0.2, 3), st.sampled_from([0.2, 0.3, 0.5, 0.7, 1.0]))
def test_a_curve_that_is_a_power_law_is_found_again(floor, scale, exponent):
    sizes = [50, 100, 200, 400, 800]
    law = fit_power_law(sizes, [floor + scale * n**-exponent for n in sizes])
    assert law.error(1600) == pytest.approx(floor + scale * 1600**-exponent, abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_whatever_is_measured_the_curve_never_rises_nor_falls_below_nothing(errors):
    law = fit_power_law([10, 20, 40, 80], errors)
    assert law.error(10) >= law.error(80) >= law.error(10_000) >= 0


def test_errors_that_rise_give_a_flat_line():
    law = fit_power_law([100, 200, 400], [0.1, 0.2, 0.3])
    assert law.error(100) == pytest.approx(0.2)
    assert law.error(100_000) == pytest.approx(0.2)


def test_two_sizes_are_no_curve():
    with pytest.raises(NothingToMeasure, match="three different numbers"):
        fit_power_law([100, 100, 200], [0.3, 0.3, 0.2])
