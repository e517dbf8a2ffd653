"""Agreement of people: against published worked examples and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import cohen_kappa, group_codes, krippendorff_alpha, raw_agreement

# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): section A, two observers, two values; section B,
# two observers, five values; section C, four observers, five values, some missing (0 here)
SECTION_A = ([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0])
SECTION_B = (list("aabbdcccedda"), list("babbbccceddd"))
SECTION_C = ([1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
             [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0])  # fmt: skip


# the computational example of Wikipedia's page on Krippendorff's alpha: three coders, missing 0, nominal 0.691
WIKIPEDIA = (
    [0, 0, 0, 0, 0, 3, 4, 1, 2, 1, 1, 3, 3, 0, 3],
    [1, 0, 2, 1, 3, 3, 4, 3, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 2, 1, 3, 4, 4, 0, 2, 1, 1, 3, 3, 0, 4],
)


def alone(n):
    return group_codes([None] * n)


@pytest.mark.parametrize(
    ("observers", "missing", "alpha"),
    [(SECTION_A, None, 0.095), (SECTION_B, None, 0.692), (SECTION_C, 0, 0.743), (WIKIPEDIA, 0, 0.691)],
)
def test_alpha_is_that_of_krippendorff_s_own_examples(observers, missing, alpha):
    judged = [[value for value in row if value != missing] for row in zip(*observers, strict=True)]
    estimate = krippendorff_alpha(judged, alone(len(judged)))
    assert estimate.value == pytest.approx(alpha, abs=5e-4)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.n + estimate.skipped == len(judged)


def test_kappa_of_the_usual_fifty_proposals_is_0_4():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5 (worked in most textbooks)
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    estimate = cohen_kappa(pairs, alone(50))
    assert estimate.value == pytest.approx(0.4)
    # the large-sample standard error is sqrt(po (1 - po) / n) / (1 - pe) = 0.1296 (Cohen 1960): 0.4 +- 0.254
    assert (estimate.low, estimate.high) == pytest.approx((0.146, 0.654), abs=0.05)


def test_kappa_is_that_of_scikit_learn():
    random = np.random.default_rng(1)
    for categories in (2, 3, 7):
        one = random.integers(categories, size=80)
        other = np.where(random.random(80) < 0.6, one, random.integers(categories, size=80))
        pairs = list(zip(one.tolist(), other.tolist(), strict=True))
        assert cohen_kappa(pairs, alone(80)).value == pytest.approx(cohen_kappa_score(one, other))


def test_perfect_agreement_of_few_claims_no_certainty():
    for estimate in (
        cohen_kappa([("a", "a"), ("b", "b")] * 6, alone(12)),
        krippendorff_alpha([("a", "a"), ("b", "b")] * 6, alone(12)),
        raw_agreement([("a", "a"), ("b", "b")] * 6, alone(12)),
    ):
        assert estimate.value == estimate.high == 1
        assert estimate.low < 0.8


def test_one_who_always_says_the_same_has_a_kappa_of_0_and_no_certainty():
    estimate = cohen_kappa([("a", "a"), ("b", "a")] * 6, alone(12))
    # agreement 6 of 12, Wilson 0.25378 to 0.74622; chance 0.5: 1 - 0.74622 / 0.5
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0, -0.49244, 0.49244), abs=1e-4)
    never = cohen_kappa([("a", "c")] * 12, alone(12))
    assert (never.value, never.low) == (0, 0)
    assert never.high == pytest.approx(0.2425, abs=1e-4)  # Wilson of 0 of 12: z^2 / (12 + z^2)


def test_raw_agreement_is_a_share_with_wilson_s_interval():
    estimate = raw_agreement([("a", "a")] * 8 + [("a", "b")] * 2 + [("a",)], alone(11))
    assert (estimate.value, estimate.n, estimate.skipped) == (0.8, 10, 1)
    assert (estimate.low, estimate.high) == pytest.approx((0.49016, 0.94332), abs=1e-5)  # Wilson, 8 of 10


@pytest.mark.parametrize("measure", [cohen_kappa, krippendorff_alpha])
def test_where_all_say_the_same_agreement_cannot_be_told_from_chance(measure):
    with pytest.raises(NothingToMeasure, match="cannot be told from chance"):
        measure([("a", "a")] * 5, alone(5))


@pytest.mark.parametrize("measure", [raw_agreement, krippendorff_alpha])
def test_without_two_opinions_there_is_nothing_to_measure(measure):
    with pytest.raises(NothingToMeasure, match=r"by two people(.|\n)*To mend it"):
        measure([("a",), ()], alone(2))
