"""`retrieval`, by the command line: what each way to search finds, and the best of them made the contender."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.cli.driving import typed
from tests.models.cross_encoder import build_cross_encoder
from tests.models.tiny import build_tiny
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.models.embedder import Ngrams
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.choices import choice_inputs, chosen_search

WAYS = ["dense", "lexical", "hybrid", "dense+maxsim", "lexical+maxsim", "hybrid+maxsim"]
METRICS = {"ndcg@10", "mrr", *(f"{name}@{k}" for name in ("hit", "recall") for k in (1, 3, 5, 10))}
PAGES = {
    "returns": "# Returns\n\nWhoever wants to return or exchange something sends it back with the label in the parcel.",
    "billing": "# Billing\n\nWhat was charged twice is paid back to the card; the invoice lies in the account.",
    "shipping": "# Shipping\n\nThe courier delivers the parcel, or leaves it with a neighbour. Customs may hold it.",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    model, desk = build_tiny(folder / "tiny"), folder / "desk"
    Workspace.init(desk, source=write_csv(folder / "examples.csv"))
    write_settings(desk, model={"base": str(model), "embedder": "ngrams"}, contenders={"constrained": False})
    for name, text in PAGES.items():
        (folder / f"{name}.md").write_text(text)
        assert typed("-C", desk, "add", folder / f"{name}.md", "--as", "document").status == 0
    assert typed("-C", desk, "split", "--validation", "0.3").status == 0
    return desk


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


def sides(desk):
    home = Workspace(desk).home
    answering = Answering(home)
    asked = [e for e in home.examples() if e.id in set(answering.split.validation)]
    return asked, answering.known.train


def judge(desk, path, name=lambda example: example.completion):
    """A file that names for each validation message the page of its topic."""
    asked, _ = sides(desk)
    rows = [{"prompt": example.prompt, "document": name(example)} for example in asked]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def contender(desk, name):
    return json.loads((desk / ".tunesmith" / "contender" / f"{name}.json").read_text())


def test_each_way_is_measured_among_the_train_examples(desk):
    ended = typed("-C", desk, "retrieval", "--json")
    assert ended.status == 0, ended.err
    found = ended.json
    asked, train = sides(desk)
    assert (found["side"], found["metric"], found["present"], found["tries"]) == ("validation", "ndcg@10", "dense", 6)
    examples = found["examples"]
    assert (examples["queries"], examples["skipped"], examples["among"]) == (len(asked), 0, len(train))
    assert examples["relevant"] == "a train example that has the same topic"
    assert list(examples["ways"]) == WAYS
    assert all(set(way["metrics"]) == METRICS for way in examples["ways"].values())
    assert [(c["a"], c["b"]) for c in examples["comparisons"]] == [(way, "dense") for way in WAYS[1:]]
    assert all(c["p_holm"] >= c["p_value"] for c in examples["comparisons"])
    assert found["documents"] is None
    assert "nobody has said which documents" in found["unmeasured"]["documents"]
    assert found["chosen"] is None
    similarities = Ngrams().embed([e.prompt for e in asked]) @ Ngrams().embed([e.prompt for e in train]).T
    order = np.argsort(-np.rint(similarities * 1e6), axis=1, kind="stable")
    right = [[train[n].completion == e.completion for n in row] for e, row in zip(asked, order, strict=True)]
    expected = {
        "hit@1": np.mean([row[0] for row in right]),
        "hit@3": np.mean([any(row[:3]) for row in right]),
        "recall@10": np.mean([sum(row[:10]) / sum(row) for row in right]),
        "mrr": np.mean([1 / (row.index(True) + 1) for row in right]),
    }
    measured = {name: examples["ways"]["dense"]["metrics"][name]["value"] for name in expected}
    assert measured == pytest.approx(expected)


def test_a_message_never_finds_its_own_group(template, tmp_path):
    table, desk = tmp_path / "pairs.csv", tmp_path / "desk"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "topic", "team"])
        messages = [(text, topic) for topic, texts in MESSAGES.items() for text in texts.splitlines()]
        for number, (text, topic) in enumerate(messages):
            rows.writerow([text, topic, f"team {number}"])
            rows.writerow([f"{text} and one more thing, dear shop", topic, f"team {number}"])
    desk.mkdir()
    shutil.copy(template / "tunesmith.yaml", desk)
    named = ("--map", "prompt=text", "--map", "completion=topic", "--group-by", "team")
    assert typed("-C", desk, "add", table, *named).status == 0
    assert typed("-C", desk, "split", "--by", "none", "--validation", "0.2").status == 0
    asked, train = sides(desk)
    similar = Ngrams().embed([e.prompt for e in asked]) @ Ngrams().embed([e.prompt for e in train]).T
    twins = np.array([[e.group is not None and e.group == t.group for t in train] for e in asked])
    assert twins.any()
    right = np.array([[t.completion == e.completion for t in train] for e in asked])
    first = np.where(twins, -1, np.rint(similar * 1e6)).argmax(axis=1)
    ways = typed("-C", desk, "retrieval", "--json").json["examples"]["ways"]
    expected = right[np.arange(len(asked)), first].mean()
    assert ways["dense"]["metrics"]["hit@1"]["value"] == pytest.approx(expected)
    with_twins = right[np.arange(len(asked)), np.rint(similar * 1e6).argmax(axis=1)].mean()
    assert with_twins > expected + 0.1  # what a group would have told


def test_documents_are_measured_by_what_people_named(desk, tmp_path):
    file = judge(desk, tmp_path / "relevant.jsonl")
    with file.open("a") as rows:
        rows.write('{"prompt": "never asked", "document": "Returns"}\n')
        rows.write(json.dumps({"prompt": sides(desk)[1][0].prompt, "document": "Returns"}) + "\n")
    ended = typed("-C", desk, "retrieval", "--relevant", file, "--metric", "hit@1")
    assert ended.status == 0, ended.err
    assert "relevant.jsonl, line" in ended.err and "0 examples have its prompt; to mend it:" in ended.err
    assert "1 judged examples are not on the validation side" in ended.err
    assert "3 documents; relevant: a document that people named for the message" in ended.out
    found = typed("-C", desk, "retrieval", "--relevant", file, "--metric", "hit@1", "--json").json
    documents = found["documents"]
    assert (documents["queries"], documents["among"], found["judged_elsewhere"]) == (len(sides(desk)[0]), 3, 1)
    for way in documents["ways"].values():
        hit = {k: way["metrics"][f"hit@{k}"]["value"] for k in (1, 3)}
        assert hit[1] <= hit[3] <= 1
        assert way["metrics"]["recall@3"]["value"] == hit[3]  # one document is relevant to each
    assert documents["ways"]["dense"]["metrics"]["hit@3"]["value"] == 1
    assert [r["problem"] for r in found["rejected"]] == ["0 examples have its prompt"]


def test_the_best_way_becomes_the_contender_and_the_settings_stay(desk, tmp_path):
    write_settings(desk, contenders={"constrained": False, "retrieval": {"examples": 0, "documents": 1}})
    asked, _ = sides(desk)
    folder = tmp_path / "codes"
    folder.mkdir()
    for number, example in enumerate(asked):  # a long page with its words, and a short one with words much like them
        (folder / f"page-{number}.md").write_text(f"# Page {number}\n\n{example.prompt} " + "filling many lines. " * 30)
        (folder / f"like-{number}.md").write_text(" ".join(f"{word}x" for word in example.prompt.split()))
    assert typed("-C", desk, "add", folder, "--as", "document").status == 0
    places = {example.id: number for number, example in enumerate(asked)}
    file = judge(desk, tmp_path / "relevant.jsonl", lambda example: f"page-{places[example.id]}")
    settings = (desk / "tunesmith.yaml").read_bytes()
    ended = typed("-C", desk, "retrieval", "--relevant", file, "--choose", "--json")
    assert ended.status == 0, ended.err
    found = ended.json
    assert found["best"].startswith("lexical")
    assert found["best_settings"]["search"] == "lexical"
    assert f"best of {found['tries']} ways" in found["says"]
    assert (desk / "tunesmith.yaml").read_bytes() == settings
    record = contender(desk, found["chosen"])
    assert record["settings"]["search"] == "lexical"
    scored = typed("-C", desk, "evaluate", "retrieval", "--json").json["contenders"]["retrieval"]
    assert scored["contender"] == found["chosen"]
    made_anew = typed("-C", desk, "baseline", "retrieval", "--json").json["contenders"]["retrieval"]
    assert made_anew["contender"] == found["chosen"]
    assert typed("-C", desk, "retrieval", "--relevant", file, "--json").json["chosen"] is None  # measured again alone
    made_anew = typed("-C", desk, "baseline", "retrieval", "--json").json["contenders"]["retrieval"]
    assert made_anew["contender"] == found["chosen"]
    said = typed("-C", desk, "status").out
    assert f"searches measured: {found['best']} the best of {found['tries']}" in " ".join(said.split())
    write_settings(desk, contenders={"constrained": False, "retrieval": record["settings"]})
    again = typed("-C", desk, "baseline", "retrieval", "--json").json["contenders"]["retrieval"]
    assert again["contender"] == found["chosen"]
    write_settings(desk, contenders={"constrained": False, "retrieval": {"examples": 0, "candidates": 7}})
    plain = typed("-C", desk, "baseline", "retrieval", "--json").json["contenders"]["retrieval"]
    assert "search" not in contender(desk, plain["contender"])["settings"]  # other settings: what they say, holds


def test_a_search_that_the_settings_name_is_the_one_that_is_served(desk):
    settings = {"examples": 2, "search": "hybrid", "rerank": "maxsim", "candidates": 5}
    write_settings(desk, contenders={"constrained": False, "retrieval": settings})
    ended = typed("-C", desk, "baseline", "retrieval", "--json")
    assert ended.status == 0, ended.err
    scored = ended.json["contenders"]["retrieval"]
    assert contender(desk, scored["contender"])["settings"] == settings | {"documents": 1}
    assert scored["failed"] == 0
    found = typed("-C", desk, "retrieval", "--json").json
    assert (found["present"], found["tries"]) == ("hybrid+maxsim", 6)


def test_passages_of_other_sizes_are_tried_where_documents_are_long(desk, tmp_path):
    book = tmp_path / "book.md"
    book.write_text(
        "# Book\n\n" + "\n\n".join(f"Page {n} of the book. " + "a lamp and a card. " * 12 for n in range(9))
    )
    assert typed("-C", desk, "add", book, "--as", "document").status == 0
    file = judge(desk, tmp_path / "relevant.jsonl")
    ended = typed("-C", desk, "retrieval", "--relevant", file, "--chunk-words", 40, "--chunk-words", 5000, "--json")
    found = ended.json
    assert list(found["documents"]["ways"]) == [*WAYS, *(f"{w}/40" for w in WAYS), *(f"{w}/5000" for w in WAYS)]
    assert found["documents"]["ways"]["dense/40"]["settings"] == {"search": "dense", "chunk_words": 40}
    assert list(found["examples"]["ways"]) == WAYS
    assert found["tries"] == 18


def test_a_size_that_keeps_documents_whole_is_chosen_as_it_was_measured(desk, tmp_path):
    settings = {"examples": 0, "documents": 1, "chunk_words": 20}
    write_settings(desk, contenders={"constrained": False, "retrieval": settings})
    asked, _ = sides(desk)
    folder = tmp_path / "pages"
    folder.mkdir()
    for number, example in enumerate(asked):  # each passage has one of its words, and a short page has two of them
        words = example.prompt.split()
        (folder / f"page-{number}.md").write_text(" ".join(f"{word}{' filling' * 20}" for word in words))
        (folder / f"part-{number}.md").write_text(" ".join(words[-2:]))
    assert typed("-C", desk, "add", folder, "--as", "document").status == 0
    places = {example.id: number for number, example in enumerate(asked)}
    file = judge(desk, tmp_path / "relevant.jsonl", lambda example: f"page-{places[example.id]}")
    measure = ("retrieval", "--relevant", file, "--metric", "hit@1", "--chunk-words", 5000)
    found = typed("-C", desk, *measure, "--choose", "--json").json
    assert found["best"].endswith("/5000")
    assert found["best_settings"]["chunk_words"] == 5000
    assert "chunk_words" not in contender(desk, found["chosen"])["settings"]  # whole, as they were measured
    made_anew = typed("-C", desk, "baseline", "retrieval", "--json").json["contenders"]["retrieval"]
    assert made_anew["contender"] == found["chosen"]
    assert "chunk_words: 5000" in typed("-C", desk, *measure).out


def test_a_re_ranking_folder_is_seen_from_the_settings_and_taken_out_where_it_does_harm(desk, tmp_path):
    build_cross_encoder(desk / "own-cross")  # random: whatever it looks at again is shuffled
    build_cross_encoder(tmp_path / "near" / "cross", seed=1)
    written = {"examples": 2, "rerank": "own-cross", "candidates": 20}
    write_settings(desk, contenders={"constrained": False, "retrieval": written})
    ended = typed("-C", desk, "retrieval", "--rerank", Path("near") / "cross", "--choose", "--json", cwd=tmp_path)
    assert ended.status == 0, ended.err
    found = ended.json
    assert found["present"] == "dense+own-cross"
    assert found["examples"]["ways"]["dense+cross"]["settings"]["rerank"] == "../near/cross"
    assert found["best"] in WAYS[:3]
    assert found["best_settings"] == {"search": found["best"], "rerank": None}
    assert "rerank" not in contender(desk, found["chosen"])["settings"]
    told = typed("-C", desk, "retrieval", "--rerank", "near/cross", cwd=tmp_path).out
    assert f"write under contenders.retrieval: search: {found['best']}, rerank: null" in told
    for name in ("own-cross", "../near/cross"):  # wherever the command is typed
        write_settings(
            desk, contenders={"constrained": False, "retrieval": written | {"rerank": name, "candidates": 7}}
        )
        ended = typed("-C", desk, "baseline", "retrieval", "--json")
        assert ended.status == 0, ended.err
        scored = ended.json["contenders"]["retrieval"]
        assert contender(desk, scored["contender"])["settings"]["rerank"] == name
    again = typed("-C", Path(".."), "evaluate", "retrieval", "--json", cwd=desk / "own-cross")
    assert again.json["contenders"]["retrieval"]["contender"] == scored["contender"]


def test_a_choice_is_told_as_out_of_date_where_the_real_embedder_has_come(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    base = Workspace(desk).home.settings.model.base
    write_settings(desk, model={"base": base, "embedder": "minilm"})  # n-grams stand in for it
    assert typed("-C", desk, "baseline", "constant").status == 0
    found = typed("-C", desk, "retrieval", "--choose", "--json").json
    assert found["embedder"] == "ngrams"
    assert "searches measured" in " ".join(typed("-C", desk, "status").out.split())
    home = Workspace(desk).home
    inputs = choice_inputs(home, Answering(home), "retrieval", "accuracy")
    (tmp_path / "home" / "models" / "minilm").mkdir(parents=True)
    assert "searches measured" not in " ".join(typed("-C", desk, "status").out.split())
    answering = Answering(home)
    assert chosen_search(home, answering) == home.settings.contenders.retrieval
    now = choice_inputs(home, answering, "retrieval", "accuracy")
    assert "embedder" in {name for name in now if now[name] != inputs[name]}


def test_a_cross_encoder_is_measured_where_it_is_named(desk, tmp_path):
    folder = build_cross_encoder(tmp_path / "small-cross")
    ended = typed("-C", desk, "retrieval", "--rerank", folder, "--sample", 6, "--choose", "--metric", "hit@3", "--json")
    assert ended.status == 0, ended.err
    assert ended.json["examples"]["queries"] == 6
    assert list(ended.json["examples"]["ways"])[3:] == [f"{w}+small-cross" for w in WAYS[:3]]


def test_without_a_label_or_a_judgement_nothing_is_measured(tmp_path):
    table = write_csv(tmp_path / "examples.csv")
    Workspace.init(tmp_path / "desk", source=table, kind="generation")
    write_settings(tmp_path / "desk", model={"embedder": "ngrams"})
    assert typed("-C", tmp_path / "desk", "split").status == 0
    ended = typed("-C", tmp_path / "desk", "retrieval")
    assert (ended.status, ended.out) == (2, "")
    assert "Nothing is known of what a search ought to find" in ended.err
    assert "To mend it: name documents that answer messages in a file" in ended.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--metric", "hit@2"), "no metric of retrieval 'hit@2'"),
        (("--rerank", "no/such/folder"), "no folder 'no/such/folder' with a re-ranking model"),
        (("--relevant", "gone.jsonl"), "no file"),
        (("--on", "test"), "'test' is not"),
        (("--chunk-words", "3"), "chunk-words"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, problem, desk):
    ended = typed("-C", desk, "retrieval", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert problem in ended.err
    assert ended.err.count("To mend it:") == 1


def test_settings_that_are_no_search_are_refused(desk):
    write_settings(desk, contenders={"retrieval": {"search": "bm25"}})
    ended = typed("-C", desk, "baseline", "retrieval")
    assert ended.status == 2
    assert "'bm25'" in ended.err


@pytest.mark.parametrize("search", ["dense", "lexical", "hybrid"])
def test_odd_documents_are_searched_and_quoted(search, template, tmp_path):
    desk = shutil.copytree(template, tmp_path / "desk")
    odd = tmp_path / "odd.jsonl"
    texts = ["\u200b", "שלום, החבילה \u202eהגיעה\u202c", "twin text", "twin text", "lamp " * 20_000, "日本の注文"]
    odd.write_text("".join(json.dumps({"title": f"odd {n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    assert typed("-C", desk, "add", odd, "--as", "document").status == 0
    retrieval = {"search": search, "rerank": "maxsim", "documents": 3, "examples": 1, "chunk_words": 40}
    write_settings(desk, contenders={"constrained": False, "retrieval": retrieval})
    scored = typed("-C", desk, "baseline", "retrieval", "--json")
    assert scored.status == 0, scored.err
    file = judge(desk, tmp_path / "relevant.jsonl", lambda example: "odd 2")
    found = typed("-C", desk, "retrieval", "--relevant", file, "--json")
    assert found.status == 0, found.err
    for way in found.json["documents"]["ways"].values():
        assert all(0 <= estimate["value"] <= 1 for estimate in way["metrics"].values())


def test_one_document_is_found_by_every_search_that_can(tmp_path):
    desk = tmp_path / "desk"
    Workspace.init(desk, source=write_csv(tmp_path / "examples.csv"))
    write_settings(desk, model={"embedder": "ngrams"})
    (tmp_path / "page.md").write_text("# Page\n\nparcel")
    assert typed("-C", desk, "add", tmp_path / "page.md", "--as", "document").status == 0
    assert typed("-C", desk, "split").status == 0
    file = judge(desk, tmp_path / "relevant.jsonl", lambda example: "Page")
    ways = typed("-C", desk, "retrieval", "--relevant", file, "--json").json["documents"]["ways"]
    assert {name: way["metrics"]["hit@1"]["value"] for name, way in ways.items() if "lexical" not in name} == {
        name: 1 for name in WAYS if "lexical" not in name
    }
    asked, _ = sides(desk)
    sharing = np.mean(["parcel" in example.prompt.split() for example in asked])
    assert ways["lexical"]["metrics"]["hit@1"]["value"] == pytest.approx(sharing)
