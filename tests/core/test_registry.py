import pickle

import pytest

from tunesmith.core.errors import ServiceError, TunesmithError, UnknownName
from tunesmith.core.registry import Registry


def test_an_unknown_name_lists_the_near_and_the_known_ones():
    metric = Registry("metric")
    metric("accuracy")(len)
    with pytest.raises(UnknownName, match=r"no metric 'acuracy'(.|\n)*did you mean 'accuracy'"):
        metric["acuracy"]
    assert list(metric) == ["accuracy"]
    assert "accuracy" in metric


def test_a_taken_name_is_refused():
    metric = Registry("metric")
    metric("a")(len)
    with pytest.raises(ValueError, match="registered twice"):
        metric("a")(max)


def test_errors_carry_their_mend_through_a_worker_process():
    error = pickle.loads(pickle.dumps(TunesmithError("It broke.", "mend it")))
    assert str(error) == "It broke.\n  To mend it: mend it"
    assert (TunesmithError.exit_status, ServiceError.exit_status) == (2, 3)
