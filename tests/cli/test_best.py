"""Contenders at their best, from the command line: a server that answers by what it is told, and tiny random models."""

import json
import random
import re

import pytest
from tests.cli.best_desk import BEST, TOPIC, at, desk, obeys, run, searched, split_of
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, refusal, says
from tests.models.tiny import build_tiny
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.choices import Choice
from tunesmith.core.contenders import Contender
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.racing import Race


def test_the_search_finds_what_helps_and_the_winner_is_the_contender_from_then_on(tmp_path):
    with FakeServer(obeys("Labels:")) as server:
        folder = desk(tmp_path, model=at(server))
        choice = searched(folder, "prompt")["choices"]["prompt"]
        won = choice["tries"][choice["best"] - 1]
        assert "Labels:" in won["proposal"]["instructions"]
        assert won["score"]["value"] == 1.0
        assert won["standing"] == "best"
        assert choice["fresh"]["value"] == 1.0
        assert choice["against"]["difference"] > 0
        assert "rows held back" in " ".join(choice["said"]) and "chose nothing" not in " ".join(choice["said"])
        assert any(said.endswith("taken for that, its figures there run a little high") for said in choice["said"])
        asked = len(server.bodies)
        tested = run(folder, "evaluate", "prompt", "prompt+schema", "--on", "test")["contenders"]
    assert tested["prompt+schema"]["metrics"]["accuracy"]["value"] == 1.0
    assert tested["prompt"]["metrics"]["accuracy"]["value"] == 1.0
    assert all("Labels:" in body["messages"][0]["content"] for body in server.bodies[asked:])
    assert {s["name"]: s["state"] for s in run(folder, "status")["stations"]}["baselines"] == "done"


def test_no_try_ever_answers_a_test_row(tmp_path):
    with FakeServer(obeys("Labels:")) as server:
        folder = desk(tmp_path, model=at(server))
        choices = searched(folder, "prompt", "few_shot")["choices"]
    home, split = Workspace(folder).home, split_of(folder)
    answered = {e for entry in home.index("try") for e in home.store.answers(entry.hash)}
    assert answered == set(split.validation)
    texts = {e.prompt for e in home.examples() if e.id in split.test}
    assert not any(m["content"] in texts for body in server.bodies for m in body["messages"])
    assert choices["prompt"]["rows"] + choices["prompt"]["held_back"] == len(split.validation)


def test_the_budget_is_told_first_and_kept(tmp_path):
    with FakeServer(obeys("Labels:")) as server:
        folder = desk(tmp_path, model=at(server))
        plan = searched(folder, "prompt", "--plan", "--calls", "120")["plans"]["prompt"]
        assert server.bodies == []
        assert plan["calls"] <= 120
        assert plan["seconds"] is None and plan["because"]["seconds"]
        ended = typed("-C", folder, "baseline", "--best", "prompt", "--calls", "120")
        closing = f"then {plan['closing']} to score the winner on all of validation"
        assert f"at most {plan['calls']} answers, {closing}" in ended.err
        assert plan["closing"] >= len(split_of(folder).validation)  # the twin without a schema was never asked
        assert plan["calls"] < len(server.bodies) <= plan["calls"] + plan["closing"]
        home = Workspace(folder).home
        assert sum(len(home.store.answers(h)) for h in {e.hash for e in home.index("try")}) <= plan["calls"] + 30
        tries = home.latest("choice", "prompt", Choice)[0].tries
        assert {t.state for t in tries} == {"kept", "dropped"}
        assert tries[0].state == "kept"


def test_a_search_is_gone_on_with_and_asks_nothing_twice(tmp_path):
    prices = {"usd_per_million_input_tokens": 1000.0, "usd_per_million_output_tokens": 1000.0}
    with FakeServer(obeys("Labels:")) as server:
        folder = desk(tmp_path, model=at(server, **prices), budget={"usd": 5.0})
        stopped = typed("-C", folder, "baseline", "--best", "prompt")
        assert stopped.status == 2 and "cap" in stopped.err
        broken_off = len(server.bodies)
        assert broken_off > 0
        write_settings(folder, budget={"usd": 1000.0})
        whole = searched(folder, "prompt")["choices"]["prompt"]
        sent = [json.dumps([b["messages"], b.get("response_format")]) for b in server.bodies]
        assert len(set(sent)) == len(sent)
        asked = len(server.bodies)
        assert searched(folder, "prompt")["choices"]["prompt"] == whole
        assert len(server.bodies) == asked


def test_a_winner_that_does_not_hold_up_on_fresh_rows_is_not_taken(tmp_path):
    lucky = set()

    def answer(body, number):
        orders, message = body["messages"][0]["content"], body["messages"][-1]["content"]
        return says(TOPIC[message] if ("Labels:" in orders) == (message in lucky) else "none of them")

    with FakeServer(answer) as server:
        folder = desk(tmp_path, model=at(server))
        answering = Answering(Workspace(folder).home)
        race = Race(answering, "prompt", answering.home.settings.contenders.best)
        lucky |= {e.prompt for e in race.rows}
        choice = searched(folder, "prompt")["choices"]["prompt"]
    assert choice["best"] == 1
    assert choice["fresh"]["value"] == 0.0
    assert any("so that stays" in said for said in choice["said"])
    assert not any("run a little high" in said for said in choice["said"])
    home = Workspace(folder).home
    assert home.latest("contender", "prompt", Contender)[0].instructions == home.task.instructions


def test_a_winner_that_loses_its_answers_on_fresh_rows_is_not_taken(tmp_path):
    lucky = set()

    def answer(body, number):
        orders, message = body["messages"][0]["content"], body["messages"][-1]["content"]
        if "Labels:" not in orders:
            return says("billing")
        return says(TOPIC[message]) if message in lucky or number % 3 else refusal(400, "too much was asked")

    with FakeServer(answer) as server:
        folder = desk(tmp_path, model=at(server))
        answering = Answering(Workspace(folder).home)
        race = Race(answering, "prompt", answering.home.settings.contenders.best)
        lucky |= {e.prompt for e in race.rows}
        choice = searched(folder, "prompt")["choices"]["prompt"]
    assert (choice["best"], 0 < choice["lost"] < choice["held_back"]) == (1, True)
    assert choice["against"]["difference"] > 0  # where it answered it was better
    assert any(f"with {choice['lost']} of its answers lost" in said for said in choice["said"])
    assert "so that stays" in " ".join(choice["said"])


def test_few_shot_goes_on_from_the_instructions_of_prompt_and_finds_its_number_of_examples(tmp_path):
    def answer(body, number):
        """Right with eight examples or more, under the better instructions."""
        orders, shown = body["messages"][0]["content"], len(body["messages"]) - 2
        right = TOPIC[body["messages"][-1]["content"]]
        return says(right if "Labels:" in orders and shown in (0, 16) else "billing")

    with FakeServer(answer) as server:
        folder = desk(tmp_path, model=at(server), contenders={"best": BEST | {"counts": [2, 8], "calls": 2000}})
        choice = searched(folder, "prompt", "few_shot")["choices"]["few_shot"]
        assert any(said.endswith("chosen for prompt, in which rows held back had a say") for said in choice["said"])
        won = choice["tries"][choice["best"] - 1]["proposal"]
        assert won["count"] == 8 and "Labels:" in won["instructions"]
        assert {t["proposal"]["way"] for t in choice["tries"]} == {"cover", "diverse", "hard", "nearest"}
        scores = run(folder, "evaluate", "few_shot")["contenders"]
    assert scores["few_shot"]["metrics"]["accuracy"]["value"] == 1.0


def test_retrieval_goes_on_from_the_instructions_of_prompt_and_from_the_search_that_was_chosen(tmp_path):
    def answer(body, number):
        """Right with two looked-up examples, under the better instructions."""
        orders, shown = body["messages"][0]["content"], len(body["messages"]) - 2
        right = TOPIC[body["messages"][-1]["content"]]
        return says(right if "Labels:" in orders and shown in (0, 4) else "billing")

    with FakeServer(answer) as server:
        folder = desk(
            tmp_path, model=at(server), contenders={"best": BEST | {"counts": [0, 2, 8]}, "retrieval": {"documents": 0}}
        )
        way = run(folder, "retrieval", "--choose")["best_settings"]
        choice = searched(folder, "prompt", "retrieval")["choices"]["retrieval"]
        hows = [t["proposal"]["how"] for t in choice["tries"]]
        assert hows == ["as tunesmith.yaml has it", *(f"{n} nearest examples" for n in (3, 2, 8))]
        won = choice["tries"][choice["best"] - 1]["proposal"]
        assert won["count"] == 2 and "Labels:" in won["instructions"]
        scores = run(folder, "evaluate", "retrieval")["contenders"]
        assert scores["retrieval"]["metrics"]["accuracy"]["value"] == 1.0
        home = Workspace(folder).home
        record = home.latest("contender", "retrieval", Contender)[0]
        assert record.settings.get("search", "dense") == way["search"]
        assert record.settings["examples"] == 2
        assert run(folder, "baseline", "retrieval")["contenders"]["retrieval"]["contender"] == record.hash
        write_settings(folder, contenders={"best": BEST, "retrieval": {"documents": 0, "examples": 1}})
        ended = typed("-C", folder, "baseline", "retrieval")
        assert "contenders.retrieval changed since retrieval was chosen" in ended.err
    assert Workspace(folder).home.latest("contender", "retrieval", Contender)[0].settings["examples"] == 1


def test_a_count_that_was_chosen_under_another_search_is_let_go_where_that_is_chosen(tmp_path):
    def answer(body, number):
        """Right with two looked-up examples."""
        right = TOPIC[body["messages"][-1]["content"]]
        return says(right if len(body["messages"]) - 2 == 4 else "billing")

    with FakeServer(answer) as server:
        folder = desk(tmp_path, model=at(server), contenders={"retrieval": {"documents": 0}})
        ways = run(folder, "retrieval")["examples"]["ways"]
        worst = min(("dense", "lexical", "hybrid"), key=lambda name: ways[name]["metrics"]["ndcg@10"]["value"])
        write_settings(
            folder, contenders={"best": BEST | {"counts": [2, 8]}, "retrieval": {"documents": 0, "search": worst}}
        )
        choice = searched(folder, "retrieval")["choices"]["retrieval"]
        assert choice["tries"][choice["best"] - 1]["proposal"]["count"] == 2
        found = run(folder, "retrieval", "--choose")
        assert found["best"] != found["present"] == worst
        record = Workspace(folder).home.latest("contender", "retrieval", Contender)[0]
        assert (record.hash, record.settings["examples"]) == (found["chosen"], 3)  # as nobody chose it under this one
        assert [note.partition(",")[0] for note in found["notes"]] == [
            "contenders.retrieval changed since retrieval was chosen"
        ]
        assert run(folder, "baseline", "retrieval")["contenders"]["retrieval"]["contender"] == record.hash
        choice = searched(folder, "retrieval")["choices"]["retrieval"]
        assert choice["tries"][choice["best"] - 1]["proposal"]["count"] == 2
        again = run(folder, "retrieval", "--choose")  # the same search: what was chosen under it stands
    record = Workspace(folder).home.latest("contender", "retrieval", Contender)[0]
    assert (record.hash, record.settings["examples"], again["notes"]) == (again["chosen"], 2, [])


def test_many_validation_rows_leave_enough_answers_for_the_race(tmp_path):
    drawn, table = random.Random(0), tmp_path / "many.csv"
    words = ["".join(drawn.choices("abcdefghiklmnoprstu", k=7)) for _ in range(5000)]
    rows = (f"{' '.join(drawn.choices(words, k=6))},{'ab'[n % 2]}" for n in range(2200))
    table.write_text("\n".join(["text,topic", *rows]))
    folder = tmp_path / "desk"
    Workspace.init(folder, source=table, prompt="text", completion="topic")
    write_settings(folder, model={"base": "m", "base_url": "http://127.0.0.1:9/v1", "embedder": "ngrams"})
    assert typed("-C", folder, "split", "--validation", "0.45", "--test", "0.3").status == 0
    validation = len(split_of(folder).validation)
    assert round(validation * 0.33) > 300  # two tries on so many take more than the 600 answers of the default
    plans = searched(folder, "--plan")["plans"]
    for plan in plans.values():
        assert (plan["held_back"], plan["calls"] <= 600) == (100, True)
        assert plan["rounds"][0]["rows"] >= 4
        assert plan["closing"] == 2 * validation - plan["rounds"][0]["rows"] - 100
    refused = typed("-C", folder, "baseline", "--best", "few_shot", "--plan", "--calls", "90")
    assert refused.status == 2
    assert "With 90 answers, 30 of them to 15 rows held back, each of" in refused.err
    enough = re.search(r"--calls (\d+)", refused.err)[1]
    assert searched(folder, "few_shot", "--plan", "--calls", enough)["plans"]["few_shot"]["calls"] <= int(enough)
    home = Workspace(folder).home
    few, many = (
        Race(Answering(home), "prompt", home.settings.contenders.best.model_copy(update={"calls": calls}))
        for calls in (600, 1200)
    )
    assert many.held[:100] == few.held
    assert {e.id for e in many.rows} == {e.id for e in few.rows}  # none that raced is held back with more calls


def test_a_choice_is_stale_when_what_it_rests_on_changes(tmp_path):
    def baselines():
        return next(s for s in run(folder, "status")["stations"] if s["name"] == "baselines")

    with FakeServer(obeys("Labels:")) as server:
        folder = desk(tmp_path, model=at(server), contenders={"best": BEST | {"counts": [1, 2]}})
        searched(folder, "prompt", "few_shot")
        bar = Workspace(folder).home.settings.bar.model_dump(mode="json")
        write_settings(folder, bar=bar | {"metric": "macro_f1"})
        assert baselines()["state"] == "stale"
        assert "the bar's metric changed since prompt was chosen" in baselines()["because"]
        write_settings(folder, bar=bar)
        assert baselines()["state"] == "done"
        if Workspace(folder).home.latest("choice", "few_shot", Choice)[0].chosen is None:
            pytest.fail("the search for few_shot found nothing better, so the rest shows nothing")
        write_settings(folder, contenders={"best": BEST | {"counts": [1, 2]}, "few_shot": {"count": 3}})
        assert "contenders.few_shot changed since few_shot was chosen" in baselines()["because"]
        decision = run(folder, "decide")
        assert (decision["recommendation"], decision["rule"]) == ("too_early", "stale")
        assert "few_shot changed since few_shot was chosen (`tunesmith baseline --best few_shot`)" in decision["next"]
        ended = typed("-C", folder, "baseline", "few_shot")
        assert "as tunesmith.yaml has it again" in ended.err
        home = Workspace(folder).home
        assert home.latest("contender", "few_shot", Contender)[0].settings["count"] == 3
        assert baselines()["state"] == "done"


def test_tries_whose_prompts_do_not_fit_are_told_as_failed(tmp_path):
    model = build_tiny(tmp_path / "tiny", context=400)
    folder = desk(
        tmp_path, model={"base": str(model), "embedder": "ngrams"},
        contenders={"best": BEST | {"counts": [1, 16], "ways": ["cover"]}},
    )  # fmt: skip
    choice = searched(folder, "few_shot")["choices"]["few_shot"]
    long = [t for t in choice["tries"] if t["proposal"]["count"] == 16]
    assert [t["state"] for t in long] == ["failed"]
    assert long[0]["problem"]


def test_a_winner_is_taken_where_what_the_settings_say_answers_nothing(tmp_path):
    model = build_tiny(tmp_path / "tiny", context=400)
    folder = desk(
        tmp_path, model={"base": str(model), "embedder": "ngrams"},
        contenders={"few_shot": {"count": 16}, "best": BEST | {"counts": [1], "ways": ["cover"]}},
    )  # fmt: skip
    choice = searched(folder, "few_shot")["choices"]["few_shot"]
    assert choice["tries"][0]["state"] == "failed" and choice["best"] > 1
    assert any(said.endswith("loses too many of its answers, so this is taken") for said in choice["said"])
    assert run(folder, "evaluate", "few_shot", "--on", "test")["contenders"]["few_shot"]["failed"] == 0


def test_prompts_that_are_cut_whatever_the_instructions_rule_no_try_out(tmp_path):
    model = build_tiny(tmp_path / "tiny", context=320)
    folder = tmp_path / "desk"
    rows = [f"{text} {'and so on and on ' * 40},{label}" for text, label in TOPIC.items()]
    (tmp_path / "long.csv").write_text("\n".join(["text,topic", *rows]), encoding="utf-8")
    Workspace.init(folder, source=tmp_path / "long.csv", prompt="text", completion="topic")
    write_settings(
        folder, model={"base": str(model), "embedder": "ngrams"},
        contenders={"too_long": "cut", "max_tokens": 20, "best": BEST | {"calls": 130}},
    )  # fmt: skip
    assert typed("-C", folder, "split", "--validation", "0.4", "--test", "0.2", "--anyway").status == 0
    told = searched(folder, "prompt")
    scored, (first, *_) = told["contenders"]["prompt"], told["choices"]["prompt"]["tries"]
    assert (scored["truncated"], scored["failed"]) == (scored["metrics"]["accuracy"]["n"], 0)
    assert (first["state"], first["problem"]) == ("kept", None)


def test_a_group_stays_on_one_side_of_what_is_held_back(tmp_path):
    lines = write_csv(tmp_path / "examples.csv").read_text().splitlines()[1:]
    rows = [line.strip('"').rpartition(",") for line in lines]
    path = tmp_path / "grouped.jsonl"
    path.write_text("".join(
        json.dumps({"prompt": text.strip('"'), "completion": label, "customer": f"c{n % 20}"}) + "\n"
        for n, (text, _, label) in enumerate(rows)
    ))  # fmt: skip
    Workspace.init(tmp_path / "desk", kind="classification")
    topic = {"name": "topic", "type": "label", "labels": sorted(MESSAGES)}
    write_settings(
        tmp_path / "desk", task={"name": "desk", "format": "plain", "fields": [topic]},
        model={"base": str(build_tiny(tmp_path / "tiny")), "embedder": "ngrams"},
        contenders={"best": BEST},
    )  # fmt: skip
    workspace = Workspace(tmp_path / "desk")
    workspace.add(path, group_by="customer")
    assert typed("-C", tmp_path / "desk", "split", "--validation", "0.4", "--test", "0.2").status == 0
    answering = Answering(workspace.home)
    race = Race(answering, "prompt", workspace.home.settings.contenders.best)
    assert race.held and race.rows
    assert not {e.group for e in race.held} & {e.group for e in race.rows}
    assert {e.id for e in (*race.held, *race.rows)} == set(answering.split.validation)


@pytest.mark.parametrize(
    ("words", "says_so"),
    [
        (("--best", "classifier"), "no contender that a search makes better 'classifier'"),
        (("--best", "--calls", "3"), "greater than or equal to 20"),
        (("--plan",), "belong to a search"),
        (("--calls", "100"), "belong to a search"),
        (("prompt:nowhere",), "no untuned contender 'prompt:nowhere'"),
        (("--best", "prompt", "--proposer", "nobody"), "no model 'nobody'"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, words, says_so):
    with FakeServer(obeys("Labels:")) as server:
        ended = typed("-C", desk(tmp_path, model=at(server)), "baseline", *words)
    assert ended.status == 2
    assert says_so in ended.err
    assert "To mend it" in ended.err
