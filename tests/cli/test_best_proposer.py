"""Instructions that a model proposes, from the command line: what it is shown, billed for, and kept."""

import json

import pytest
from tests.cli.best_desk import BEST, TOPIC, at, desk, obeys, run, searched, split_of
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, refusal, says
from tests.models.tiny import build_tiny

from tunesmith import Workspace
from tunesmith.core.choices import Choice
from tunesmith.core.contenders import Contender


def test_a_proposer_is_shown_validation_alone_and_its_instructions_race_too(tmp_path):
    with FakeServer(obeys("MAGIC", writes='{"instructions": "MAGIC: file the message."}')) as server:
        folder = desk(
            tmp_path, model=at(server),
            contenders={"best": BEST, "models": {"writer": {"base": "w", "base_url": server.url, "kinds": []}}},
        )  # fmt: skip
        choice = searched(folder, "prompt", "--proposer", "writer")["choices"]["prompt"]
        asked = len(server.bodies)
        assert searched(folder, "prompt", "--proposer", "writer")["choices"]["prompt"]["best"] == choice["best"]
        assert len(server.bodies) == asked
    won = choice["tries"][choice["best"] - 1]
    assert won["proposal"]["instructions"] == "MAGIC: file the message."
    assert won["proposal"]["how"].startswith("written by writer")
    assert choice["refused"] == {"said before": 7}
    written = [body for body in server.bodies if body["model"] == "w"]
    home, split = Workspace(folder).home, split_of(folder)
    secret = [e.prompt for e in home.examples() if e.id in split.test]
    assert written and not any(text in body["messages"][-1]["content"] for body in written for text in secret)


def test_instructions_that_quoted_an_erased_row_are_no_longer_asked_with(tmp_path):
    quoted = {}

    def answer(body, number):
        orders, message = body["messages"][0]["content"], body["messages"][-1]["content"]
        if orders.startswith("You improve the instructions"):
            return says(json.dumps({"instructions": f"MAGIC {quoted['text']}"}))
        return says(TOPIC[message] if "MAGIC" in orders else "billing")

    with FakeServer(answer) as server:
        folder = desk(
            tmp_path, model=at(server),
            contenders={"best": BEST, "models": {"writer": {"base": "w", "base_url": server.url, "kinds": []}}},
        )  # fmt: skip
        home, side = Workspace(folder).home, set(split_of(folder).validation)
        row = next(e for e in home.examples() if e.id in side and len(e.prompt) > 30)
        quoted["text"] = row.prompt
        searched(folder, "prompt", "--proposer", "writer")
        assert row.prompt in home.latest("contender", "prompt", Contender)[0].instructions
        assert typed("-C", folder, "data", "erase", row.id).status == 0
        ended = typed("-C", folder, "evaluate", "prompt")
        assert ended.status == 2 and "No contender is prepared" in ended.err
        ended = typed("-C", folder, "baseline", "prompt")
        assert "what its instructions quote changed since prompt was chosen" in ended.err
    kept = [p for p in (folder / ".tunesmith").rglob("*") if p.is_file()]
    assert [p.name for p in kept if row.prompt.encode() in p.read_bytes()] == []


def test_what_the_proposer_wrote_before_a_stop_is_kept_billed_and_not_asked_for_again(tmp_path):
    written, broken = [], [True]

    def answer(body, number):
        if body["model"] != "w":
            return says("billing")
        written.append(body["seed"])  # a thousand times the round, and which of its replies
        if broken[0] and body["seed"] % 1000 > 1:
            return refusal(401, "no more")._replace(pause_seconds=0.5)
        return says(json.dumps({"instructions": f"Wording {body['seed']}."}), prompt=1000, completion=100)

    with FakeServer(answer) as server:
        prices = {"usd_per_million_input_tokens": 10.0, "usd_per_million_output_tokens": 100.0}
        writer = {"base": "w", "base_url": server.url, "kinds": [], **prices}
        folder = desk(
            tmp_path, model=at(server), budget={"usd": 7.0}, contenders={"best": BEST, "models": {"writer": writer}}
        )
        plan = searched(folder, "prompt", "--proposer", "writer", "--plan")["plans"]["prompt"]
        assert (plan["proposer"], plan["proposed"], plan["budget_usd"]) == ("writer", 8, 7.0)
        assert 0.02 < plan["proposer_usd"] < 7
        stopped = typed("-C", folder, "baseline", "--best", "prompt", "--proposer", "writer")
        assert stopped.status == 3
        assert "; writer is asked 8 times besides, at most about" in stopped.err
        kept = Workspace(folder).home.latest("choosing", "prompt", Choice)[0]
        wordings = [t.proposal.instructions for t in kept.tries if t.proposal.how.startswith("written by writer")]
        assert wordings == ["Wording 1000.", "Wording 1001."]
        assert (kept.rounds, kept.begun, kept.proposer_usd) == (0, 2, pytest.approx(2 * 0.02))
        broken[0] = False
        written.clear()
        choice = searched(folder, "prompt", "--proposer", "writer")["choices"]["prompt"]
    assert sorted(written) == [1002, 1003, 2000, 2001, 2002, 2003]
    assert sum(t["proposal"]["how"].startswith("written by writer") for t in choice["tries"]) == 8
    assert (choice["rounds"], choice["proposer_usd"]) == (2, pytest.approx(8 * 0.02))


def test_rounds_tell_what_a_search_took_and_each_answer_once(tmp_path):
    """A reply of the writer costs 0.02 USD, an answer of the other model 0.011."""

    def answer(body, number):
        if body["model"] == "w":
            return says(json.dumps({"instructions": f"Wording {body['seed']}."}), prompt=1000, completion=100)
        right = "Labels:" in body["messages"][0]["content"]
        return says(TOPIC[body["messages"][-1]["content"]] if right else "billing", prompt=1000, completion=10)

    with FakeServer(answer) as server:
        prices = {"usd_per_million_input_tokens": 10.0, "usd_per_million_output_tokens": 100.0}
        writer = {"base": "w", "base_url": server.url, "kinds": [], **prices}
        folder = desk(
            tmp_path, model=at(server, **prices), budget={"usd": 100.0},
            contenders={"best": BEST, "models": {"writer": writer}},
        )  # fmt: skip
        run(folder, "baseline", "prompt")
        few, many = (searched(folder, "prompt", "--plan", "--calls", n)["plans"]["prompt"] for n in ("120", "300"))
        each = [plan["usd"] / (plan["calls"] + plan["closing"]) for plan in (few, many)]
        assert each[0] == pytest.approx(each[1]) and few["closing"] > 0
        run(folder, "evaluate", "--on", "test")
        searched(folder, "prompt", "--proposer", "writer")
        run(folder, "evaluate", "--on", "test")
        asked = [body["model"] for body in server.bodies]
        costs = [one["cost"] for one in run(folder, "rounds")["rounds"]]
        tested = [one["cost"] for one in run(folder, "rounds", "--on", "test")["rounds"]]
    home, split = Workspace(folder).home, split_of(folder)
    assert len(costs) == 2
    on_test = 2 * 2 * len(split.test)  # prompt and its constrained twin, before and after
    assert sum(c["answers"] for c in costs) == asked.count("m") - on_test
    paid = 0.02 * asked.count("w") + 0.011 * (asked.count("m") - on_test)
    assert sum(c["usd"] for c in costs) == pytest.approx(paid)
    assert home.index("try") and asked.count("w") == 8
    assert tested[1]["usd"] > 0.02 * 8


def test_a_proposer_on_this_machine_that_writes_nonsense_does_no_harm(tmp_path):
    model = build_tiny(tmp_path / "tiny", context=2048)
    with FakeServer(obeys("Labels:")) as server:
        folder = desk(tmp_path, model=at(server), contenders={"best": BEST | {"rounds": 1, "proposals": 2}})
        choice = searched(folder, "prompt", "--proposer", str(model))["choices"]["prompt"]
    written = [t for t in choice["tries"] if t["proposal"]["how"].startswith("written by")]
    assert len(written) + sum(choice["refused"].values()) == 2
    assert "Labels:" in choice["tries"][choice["best"] - 1]["proposal"]["instructions"]
