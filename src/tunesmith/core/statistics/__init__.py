"""Intervals, paired comparisons, corrections, sample sizes. Numbers in, numbers out: knows no task and no contender."""

from tunesmith.core.statistics.agreement import cohen_kappa, krippendorff_alpha, raw_agreement
from tunesmith.core.statistics.bootstrap import bootstrap_interval
from tunesmith.core.statistics.bradley_terry import bradley_terry
from tunesmith.core.statistics.corrections import holm
from tunesmith.core.statistics.curves import PowerLaw, fit_power_law
from tunesmith.core.statistics.groups import design_effect, group_codes
from tunesmith.core.statistics.intervals import Interval, tally_interval, wilson_interval, wilson_size
from tunesmith.core.statistics.paired import correlation, mcnemar, paired_interval, phi, swap_test
from tunesmith.core.statistics.power import (
    examples_needed_for_bar,
    examples_needed_for_difference,
    smallest_difference_seen,
    smallest_loss_seen,
)
from tunesmith.core.statistics.tally import FloatArray, IntArray, Tally, mean_tally

__all__ = [
    "FloatArray",
    "IntArray",
    "Interval",
    "PowerLaw",
    "Tally",
    "bootstrap_interval",
    "bradley_terry",
    "cohen_kappa",
    "correlation",
    "design_effect",
    "examples_needed_for_bar",
    "examples_needed_for_difference",
    "fit_power_law",
    "group_codes",
    "holm",
    "krippendorff_alpha",
    "mcnemar",
    "mean_tally",
    "paired_interval",
    "phi",
    "raw_agreement",
    "smallest_difference_seen",
    "smallest_loss_seen",
    "swap_test",
    "tally_interval",
    "wilson_interval",
    "wilson_size",
]
