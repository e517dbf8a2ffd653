"""What tuning and data cost: all runs and trials behind a model, and only examples that took a person's time."""

from msgspec.structs import replace
from tests.workspace.answered import again, answered, answered_desk, finished_run

from tunesmith.core.runs import Run
from tunesmith.core.search import Search, Trial

PRICES = {"machine_usd_per_hour": 3600, "person_usd_per_hour": 60, "labelling_minutes_per_example": 1}
"""A dollar a second of the machine, and a dollar an example."""


def saved(desk, name, seconds, **also):
    run = replace(finished_run(desk, name), seconds=seconds, **also)
    desk.home.save("run", name, run, run.inputs)


def sheet(desk):
    answered(desk, "tuned", lambda n: n != 8, run=desk.home.index("run")[-1].name)
    desk.evaluate(on="test")
    return again(desk).cost().contenders["tuned"]


def test_tuning_costs_the_runs_it_went_on_from_and_all_trials_of_their_searches(tmp_path):
    desk = answered_desk(tmp_path, costs=PRICES)
    saved(desk, "alone", 30.0)
    assert (sheet(desk).tuning_usd, sheet(desk).tuning_basis) == (30.0, "")
    trials = tuple(
        Trial(number=n, settings={}, run=run, state="complete", seconds=s)
        for n, (run, s) in enumerate((("other", 50.0), ("tried", 70.0), (None, 5.0)), 1)
    )
    made = Search(name="found", seed=0, space={}, trials=trials, seconds=125.0)
    desk.home.save("search", "found", made, {})
    saved(desk, "tried", 69.0, inputs={"model": "m", "search": "found"})
    assert (sheet(desk).tuning_usd, sheet(desk).tuning_basis) == (125.0, "with all 3 trials of search")
    saved(desk, "further", 10.0, start="tried")
    found = sheet(desk)
    assert (found.tuning_usd, found.tuning_basis) == (
        135.0, "the run and 1 before it, from which it went on; with all 3 trials of search",
    )  # fmt: skip
    assert desk.home.latest("run", "further", Run)[0].seconds == 10.0


def test_a_decision_is_out_of_date_once_the_search_behind_it_went_on(tmp_path):
    desk = answered_desk(tmp_path, costs=PRICES)
    answered(desk, "prompt", lambda n: n % 2 == 0)
    trial = Trial(number=1, settings={}, run="tried", state="complete", seconds=70.0)
    desk.home.save("search", "found", Search(name="found", seed=0, space={}, trials=(trial,), seconds=70.0), {})
    saved(desk, "tried", 69.0, inputs={"model": "m", "search": "found"})
    sheet(desk)
    desk = again(desk)
    desk.decide()
    states = {s.name: s.state for s in desk.status()}
    assert states["decision"] == "done"
    more = replace(trial, number=2, run=None, state="failed", seconds=7.0)
    desk.home.save("search", "found", Search(name="found", seed=0, space={}, trials=(trial, more), seconds=77.0), {})
    assert {s.name: s.state for s in again(desk).status()}["decision"] == "stale"


def test_a_synthetic_example_costs_a_person_nothing_before_one_reads_it(tmp_path):
    desk = answered_desk(tmp_path, costs=PRICES)
    before = len(desk.home.examples())
    made = tmp_path / "made.csv"
    made.write_text("text,topic\nmy kettle never came,shipping\ninvoice eleven is wrong,billing\n")
    desk.add(made, as_="synthetic")
    desk.split(test=0.3, validation=0.2, seed=1, unreviewed=True)
    desk.baseline(["constant"])
    saved(desk, "alone", 30.0)
    found = sheet(desk)
    assert (found.examples, found.data_usd) == (before, float(before))
    desk.review("ann").add(source="synthetic")
    desk.review("ann").next()
    desk.review("ann").accept()
    assert again(desk).cost().contenders["tuned"].examples == before + 1


def test_rounds_count_the_time_of_a_run_once(tmp_path):
    desk = answered_desk(tmp_path, costs=PRICES)
    saved(desk, "first", 30.0)
    answered(desk, "tuned", lambda n: n != 8, run="first")
    desk.evaluate()
    answered(desk, "tuned", lambda n: n != 8, run="first", tokens=4)  # as it is asked after a change of settings
    desk.evaluate()
    saved(desk, "second", 11.0)
    answered(desk, "tuned", lambda n: n != 7, run="second")
    desk.evaluate(["tuned"])
    desk.evaluate(["tuned:first"])
    assert [one.cost.tuning_seconds for one in desk.rounds().rounds[1:]] == [30.0, None, 11.0, None]


def test_a_round_that_is_measured_again_tells_the_newest_figures(tmp_path):
    desk = answered_desk(tmp_path)
    name = answered(desk, "prompt", lambda n: n % 2 == 0)
    first = desk.evaluate(["prompt"])
    answered(desk, "prompt", lambda n: True)
    assert desk.home.index("contender", "prompt")[-1].hash == name  # its answers were asked for anew
    second = desk.evaluate(["prompt"])
    now, then = second.contenders["prompt"].metrics["accuracy"], first.contenders["prompt"].metrics["accuracy"]
    assert now.value > then.value
    last = desk.rounds().rounds[-1]
    assert (last.times, last.leader, last.score) == (2, "prompt", now)
