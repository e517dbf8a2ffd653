import doctest

from tunesmith.core import naming


def test_names_are_as_their_examples_say():
    assert doctest.testmod(naming).failed == 0
