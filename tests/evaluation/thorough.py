"""How many inputs a comparison with an independent program gets: some at once, 10,000 among the slow tests."""

import pytest
from hypothesis import HealthCheck, given, settings

__all__ = ["beside"]


def beside(*strategies):
    """Hold a function of drawn inputs, a few hundred times and, marked slow, ten thousand times."""

    def wrap(held):
        @pytest.mark.parametrize("inputs", [300, pytest.param(10_000, marks=pytest.mark.slow)])
        def test(inputs):
            many = settings(max_examples=inputs, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            many(given(*strategies)(held))()

        test.__name__ = held.__name__
        return test

    return wrap
