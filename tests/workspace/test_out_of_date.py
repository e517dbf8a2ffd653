"""A contender that is no longer what it would be made as is not shipped, and one that still is stays."""

import pytest
from tests.cli.driving import typed
from tests.workspace.answered import again, answered, answered_desk, finished_run
from tests.workspace.toy import write_settings

AT = "http://127.0.0.1:9/v1"


@pytest.fixture
def desk(tmp_path):
    """A workspace whose prompt ships; nobody answers at its model's address any more."""
    desk = answered_desk(tmp_path, model={"base": "small", "base_url": AT, "embedder": "ngrams"})
    answered(desk, "prompt", lambda n: n != 7, model="small")
    answered(desk, "retrieval", lambda n: n % 2 == 0, model="small")
    desk.evaluate(on="test")
    assert desk.decide().recommendation == "ship:prompt"
    return desk


def gate(desk):
    ended = typed("-C", desk.home.root, "decide", "--gate", "--json")
    assert ended.status in (0, 1), ended.err
    return ended.status, ended.json


def decision_station(desk):
    return next(s for s in again(desk).status() if s.name == "decision")


@pytest.mark.parametrize("address", [{"base_url": AT}, {}])
def test_a_model_that_is_still_named_need_not_be_on_this_machine(desk, address):
    write_settings(desk.home.root, model={"base": "small", "embedder": "ngrams"} | address)
    assert gate(desk)[0] == 0
    assert decision_station(desk).state == "done"


@pytest.mark.parametrize(
    "model",
    [
        {"base": "large", "base_url": AT},
        {"base": "small", "base_url": f"{AT}/other"},
        {"base": "not-on-this-machine"},
    ],
)
def test_an_untuned_contender_of_another_model_closes_the_gate(desk, model):
    write_settings(desk.home.root, model={"embedder": "ngrams"} | model)
    assert decision_station(desk).state == "stale"
    status, found = gate(desk)
    assert (status, found["recommendation"], found["rule"]) == (1, "too_early", "stale")
    said = "model changed since prompt was made. Run `tunesmith baseline prompt`, then `tunesmith evaluate --on test`."
    assert said in found["because"]
    assert not any("constant was made" in line for line in found["because"])


def test_other_documents_make_out_of_date_what_reads_them_alone(desk, tmp_path):
    (tmp_path / "policy.md").write_text("# Returns\n\nThirty days, with the receipt.\n")
    desk.add(tmp_path / "policy.md", as_="document")
    status, found = gate(desk)
    assert (status, found["rule"]) == (1, "stale")
    assert any(line.startswith("documents changed since retrieval was made") for line in found["because"])
    assert not any("prompt was made" in line for line in found["because"])


def test_a_model_that_was_taken_out_of_the_settings_is_said(desk):
    write_settings(desk.home.root, contenders={"models": {"other": {"base": "small", "base_url": AT}}})
    desk = again(desk)
    answered(desk, "prompt:other", lambda n: n != 7, model="small")
    assert "prompt:other" in desk.evaluate(on="test").contenders
    assert gate(desk)[0] == 0
    write_settings(desk.home.root, contenders={})
    status, found = gate(desk)
    assert (status, found["rule"]) == (1, "stale")
    assert "prompt:other asks a model that is no longer under `contenders.models`" in found["because"][1]


def test_a_contender_that_was_made_anew_is_not_decided_on_by_what_the_old_one_reached(desk):
    desk.baseline(["constant"])
    assert gate(desk)[0] == 0  # the same record again is no other contender
    answered(desk, "prompt", lambda n: n % 2 == 0, model="small", instructions="Say the topic, and nothing else.")
    assert decision_station(desk).state == "stale"
    status, found = gate(desk)
    assert (status, found["rule"]) == (1, "stale")
    said = "prompt was made anew since it was measured. Run `tunesmith evaluate --on test`, then decide again."
    assert found["because"][1:2] == [said]
    again(desk).evaluate(on="test")
    assert gate(desk)[1]["rule"] != "stale"
    assert decision_station(desk).state == "done"


@pytest.fixture
def tuned(tmp_path):
    """Makes a workspace whose tuned model, which looks up so many documents, ships; its prompt asks another model."""

    def made(documents):
        model = {"base": "small", "base_url": AT, "embedder": "ngrams"}
        others = {"models": {"other": {"base": "large", "base_url": AT}}}
        desk = answered_desk(tmp_path, model=model, contenders=others)
        finished_run(desk, "first")
        answered(desk, "prompt:other", lambda n: n % 2 == 0, model="large")
        answered(desk, "tuned", lambda n: n != 7, run="first", model="small", documents=documents)
        desk.evaluate(on="test")
        assert gate(desk)[1]["recommendation"] == "ship:tuned"
        return desk

    return made


def test_another_base_model_makes_a_tuned_contender_out_of_date(tuned):
    desk = tuned(0)
    write_settings(desk.home.root, model={"base": "large", "base_url": AT, "embedder": "ngrams"})
    assert decision_station(desk).state == "stale"
    status, found = gate(desk)
    assert (status, found["rule"]) == (1, "stale")
    said = "model changed since the model was tuned. Run `tunesmith tune`, then evaluate again."
    assert found["because"][1:2] == [said]


@pytest.mark.parametrize("documents", [0, 1])
def test_other_documents_make_a_tuned_contender_out_of_date_that_looks_them_up(tuned, tmp_path, documents):
    desk = tuned(documents)
    (tmp_path / "policy.md").write_text("# Returns\n\nThirty days, with the receipt.\n")
    desk.add(tmp_path / "policy.md", as_="document")
    status, found = gate(desk)
    said = "documents changed since the model was tuned. Run `tunesmith tune`, then evaluate again."
    assert (status, said in found["because"]) == (documents, bool(documents))
