import pytest

from tunesmith.core.config import read_config
from tunesmith.core.errors import TunesmithError
from tunesmith.decision import BarConfig, CostsConfig


def test_a_share_written_as_a_percentage_is_refused_with_the_right_number():
    with pytest.raises(TunesmithError, match=r"all_correct runs from 0 to 1, so write 0.85 if you mean 85 %"):
        read_config(BarConfig, {"value": 85}, "tunesmith.yaml")
    with pytest.raises(TunesmithError, match=r"valid_rate runs from 0 to 1, so write 0.99"):
        read_config(BarConfig, {"value": 0.8, "also": {"valid_rate": 99}}, "tunesmith.yaml")


def test_chrf_runs_to_a_hundred_and_no_further():
    assert BarConfig(metric="reply.chrf", value=45).value == 45
    with pytest.raises(TunesmithError, match=r"reply\.chrf runs from 0 to 100"):
        read_config(BarConfig, {"metric": "reply.chrf", "value": 450}, "tunesmith.yaml")


def test_the_bar_has_no_default_value():
    with pytest.raises(TunesmithError, match="'value' is missing"):
        read_config(BarConfig, {"metric": "accuracy"}, "tunesmith.yaml")


@pytest.mark.parametrize("wrong", [{"machine_usd_per_hour": -1}, {"person_usd_per_hour": float("inf")}, {"months": 0}])
def test_impossible_prices_are_refused(wrong):
    with pytest.raises(TunesmithError, match=next(iter(wrong))):
        read_config(CostsConfig, wrong, "tunesmith.yaml")


def test_every_setting_is_described():
    for section in (BarConfig, CostsConfig):
        assert all(field.description for field in section.model_fields.values())
