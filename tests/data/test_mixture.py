"""Rows to mix in are read as `add` reads them; none that is near what is measured is learnt, and none is lost."""

from __future__ import annotations

import json

import pytest
from tests.data.files import write_dataset

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.errors import TunesmithError
from tunesmith.data import mixture, near_index
from tunesmith.data.mixture import HELD_OUT, read_mixture

THINGS = [
    "river",
    "lamp",
    "piano",
    "cloud",
    "garden",
    "ticket",
    "bridge",
    "novel",
    "engine",
    "harbour",
    "candle",
    "mirror",
    "forest",
    "saddle",
    "window",
]


def chat(prompt: str, completion: str = "a fine thing", system: str | None = None) -> dict[str, object]:
    head = [{"role": "system", "content": system}] if system else []
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    return {"messages": [*head, *turns]}


def rows(count: int = 15) -> list[dict[str, object]]:
    return [chat(f"{THINGS[n % 15]}: what can be said of it? {n * 7919}") for n in range(count)]


def write(folder, content, name: str = "general.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return path


def test_rows_are_read_whole_with_their_own_system_message(tmp_path):
    content = [chat("tell me of rivers", "they flow", "be brief"), chat("tell me of lamps", "they shine")]
    found = read_mixture(write(tmp_path, content), [], 0.8)
    both = {e.completion: [m.role for m in e.messages] for e in (*found.learnt, *found.held_out)}
    assert both == {"they flow": ["system", "user"], "they shine": ["user"]}
    assert found.counts == MixtureCounts(read=2)


def test_rows_near_a_measured_prompt_are_left_out_and_counted(tmp_path):
    near = ["Where is my PARCEL?!", "where is my parcel"]
    thread = {
        "messages": [
            {"role": "user", "content": "good morning to all of you, how are you today"},
            {"role": "assistant", "content": "well"},
            {"role": "user", "content": "where is my parcel?"},
            {"role": "assistant", "content": "on its way"},
        ]
    }
    content = [*rows(), chat(near[0]), chat(near[1], system="be brief"), thread]
    found = read_mixture(write(tmp_path, content), ["where is my parcel", "the lamp is broken"], 0.8)
    assert found.counts == MixtureCounts(read=18, near=3)
    assert not any("parcel" in e.prompt.lower() for e in (*found.learnt, *found.held_out))


@pytest.mark.parametrize(("role", "at"), [("user", 0), ("user", 2), ("tool", 2), ("user", 4)])
def test_no_turn_of_a_thread_is_near_a_measured_prompt(tmp_path, role, at):
    turns = [
        {"role": "user", "content": "good morning to all of you"},
        {"role": "assistant", "content": "good morning, what is it"},
        {"role": "user", "content": "the kettle that I bought does not boil"},
        {"role": "assistant", "content": "that is a pity, where did you buy it"},
        {"role": "user", "content": "in the shop near the station"},
        {"role": "assistant", "content": "then bring it there"},
    ]
    turns[at] = {"role": role, "content": "Where is my parcel?"}
    found = read_mixture(write(tmp_path, [*rows(), {"messages": turns}]), ["where is my parcel"], 0.8)
    assert found.counts == MixtureCounts(read=16, near=1)


def test_what_an_assistant_says_again_is_no_prompt(tmp_path):
    turns = [
        {"role": "user", "content": "what do customers ask most often"},
        {"role": "assistant", "content": "where is my parcel"},
        {"role": "user", "content": "and what else"},
        {"role": "assistant", "content": "whether it can go back"},
    ]
    found = read_mixture(write(tmp_path, [*rows(), {"messages": turns}]), ["where is my parcel"], 0.8)
    assert found.counts == MixtureCounts(read=16)


def test_the_threshold_is_the_caller_s(tmp_path):
    path = write(tmp_path, [*rows(), chat("where is my small parcel")])
    measured = ["where is my parcel"]
    assert [read_mixture(path, measured, threshold).counts.near for threshold in (0.5, 0.95)] == [1, 0]


def test_measured_prompts_are_shingled_once_however_many_rows_there_are(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(mixture, "AT_ONCE", 4)
    monkeypatch.setattr(near_index, "normal", lambda text: seen.append(text) or text)
    measured = ["where is my parcel", "the lamp is broken"]
    assert read_mixture(write(tmp_path, rows()), measured, 0.8).counts.near == 0
    assert [seen.count(prompt) for prompt in measured] == [1, 1]


def test_rows_that_ask_the_same_stand_once(tmp_path):
    content = [*rows(), rows()[3], chat("River: what can be said of it? 0", "another answer")]
    found = read_mixture(write(tmp_path, content), [], 0.8)
    assert found.counts == MixtureCounts(read=17, duplicates=2)


def test_nothing_near_a_held_out_row_is_learnt(tmp_path):
    content = [chat(f"{thing}, what is to be said of it in a few words, {end}") for thing in THINGS for end in "abc"]
    found = read_mixture(write(tmp_path, content), [], 0.8)
    held = {e.prompt.split(",")[0] for e in found.held_out}
    assert held
    assert not held & {e.prompt.split(",")[0] for e in found.learnt}
    assert found.counts.duplicates == 45 - len(found.learnt) - len(found.held_out) >= 2 * len(held)


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (15, 1), (40, 4), (400, HELD_OUT)])
def test_a_tenth_is_held_out_at_most_so_many(tmp_path, count, held_out):
    found = read_mixture(write(tmp_path, rows(count)), [], 0.95)
    assert len(found.held_out) == held_out
    assert len(found.learnt) == count - held_out - found.counts.duplicates


def test_what_is_held_out_follows_from_what_rows_say(tmp_path):
    one = read_mixture(write(tmp_path, rows(40)), [], 0.8)
    other = read_mixture(write(tmp_path, reversed(rows(40)), "other.jsonl"), [], 0.8)
    assert [e.id for e in one.held_out] == [e.id for e in other.held_out]
    assert [e.id for e in one.learnt] == [e.id for e in other.learnt]


def test_bad_rows_and_documents_are_set_aside(tmp_path):
    folder = tmp_path / "general"
    folder.mkdir()
    write(folder, [*rows(), {"messages": [{"role": "user", "content": "and then"}]}])
    (folder / "broken.jsonl").write_text('{"messages": [\n', encoding="utf-8")
    (folder / "notes.md").write_text("# Notes\n\nNothing to learn.\n", encoding="utf-8")
    found = read_mixture(folder, [], 0.8)
    assert found.counts == MixtureCounts(read=18, rejected=3)
    assert all(row.problem and row.mend for row in found.rejected)
    assert any("document" in row.problem for row in found.rejected)


@pytest.mark.parametrize("kind", ["csv", "json", "alpaca", "dataset"])
def test_every_format_that_add_reads_will_do(tmp_path, kind):
    pairs = [(f"{thing}, what is it", f"it is a {thing}") for thing in THINGS]
    path = tmp_path / f"general.{'csv' if kind == 'csv' else 'json'}"
    if kind == "csv":
        path.write_text("question;answer\n" + "".join(f"{q};{a}\n" for q, a in pairs), encoding="utf-8")
    elif kind == "json":
        path.write_text(json.dumps([{"prompt": q, "completion": a} for q, a in pairs]), encoding="utf-8")
    elif kind == "alpaca":
        path.write_text(json.dumps([{"instruction": q, "input": "", "output": a} for q, a in pairs]), encoding="utf-8")
    else:
        path = tmp_path / "set"
        write_dataset(path, {"prompt": [q for q, _ in pairs], "completion": [a for _, a in pairs]})
    found = read_mixture(path, [], 0.95)
    assert {e.completion for e in (*found.learnt, *found.held_out)} == {a for _, a in pairs}


def test_a_file_that_leaves_nothing_to_learn_is_refused_with_the_counts(tmp_path):
    path = write(tmp_path, [chat("where is my parcel"), chat("where is my parcel"), chat("a single row")])
    says = r"of 3 read, 0 cannot be used, 1 repeat another, 1 are near(.|\n)*at least two rows"
    with pytest.raises(TunesmithError, match=says):
        read_mixture(path, ["where is my parcel"], 0.8)
