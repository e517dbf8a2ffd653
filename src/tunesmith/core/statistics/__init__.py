"""Intervals, paired comparisons, corrections, sample sizes. Numbers in, numbers out: knows no task and no contender."""

from tunesmith.core.statistics.agreement import cohen_kappa, krippendorff_alpha, raw_agreement
from tunesmith.core.statistics.bootstrap import bootstrap_interval
from tunesmith.core.statistics.bradley_terry import bradley_terry
from tunesmith.core.statistics.corrections import benjamini_hochberg, best_of, holm, optimism
from tunesmith.core.statistics.curves import PowerLaw, fit_power_law
from tunesmith.core.statistics.effects import (
    OddsRatio,
    cohen_h,
    discordant_odds_ratio,
    standardized_difference,
)
from tunesmith.core.statistics.groups import design_effect, group_codes
from tunesmith.core.statistics.intervals import (
    Z95,
    Interval,
    clopper_pearson,
    mean_estimate,
    student,
    tally_interval,
    wilson_interval,
    wilson_size,
)
from tunesmith.core.statistics.judged import (
    Corrected,
    PredictionPowered,
    Share,
    Ties,
    prediction_powered,
    rogan_gladen,
    score_share,
    share_of,
    with_halves,
    with_known,
)
from tunesmith.core.statistics.log_odds import log_odds
from tunesmith.core.statistics.paired import correlation, mcnemar, paired_interval, phi, swap_test
from tunesmith.core.statistics.parts import (
    Beside,
    beside_rest,
    fisher_mid_p,
    least_fisher_mid_p,
    part_p_values,
)
from tunesmith.core.statistics.power import (
    examples_needed_for_bar,
    examples_needed_for_difference,
    examples_needed_for_mean_difference,
    smallest_difference_seen,
    smallest_loss_seen,
)
from tunesmith.core.statistics.resampled import (
    ResampledDifference,
    cross_validated_interval,
    resampled_difference,
)
from tunesmith.core.statistics.tally import FloatArray, IntArray, Tally, mean_tally

__all__ = [
    "Z95",
    "Beside",
    "Corrected",
    "FloatArray",
    "IntArray",
    "Interval",
    "OddsRatio",
    "PowerLaw",
    "PredictionPowered",
    "ResampledDifference",
    "Share",
    "Tally",
    "Ties",
    "benjamini_hochberg",
    "beside_rest",
    "best_of",
    "bootstrap_interval",
    "bradley_terry",
    "clopper_pearson",
    "cohen_h",
    "cohen_kappa",
    "correlation",
    "cross_validated_interval",
    "design_effect",
    "discordant_odds_ratio",
    "examples_needed_for_bar",
    "examples_needed_for_difference",
    "examples_needed_for_mean_difference",
    "fisher_mid_p",
    "fit_power_law",
    "group_codes",
    "holm",
    "krippendorff_alpha",
    "least_fisher_mid_p",
    "log_odds",
    "mcnemar",
    "mean_estimate",
    "mean_tally",
    "optimism",
    "paired_interval",
    "part_p_values",
    "phi",
    "prediction_powered",
    "raw_agreement",
    "resampled_difference",
    "rogan_gladen",
    "score_share",
    "share_of",
    "smallest_difference_seen",
    "smallest_loss_seen",
    "standardized_difference",
    "student",
    "swap_test",
    "tally_interval",
    "wilson_interval",
    "wilson_size",
    "with_halves",
    "with_known",
]
