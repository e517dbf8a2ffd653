"""lm-evaluation-harness through the engine, with tasks of our own over local files, where it is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from tests.models.tiny import build_adapter, build_tiny

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.models.engine import Engine
from tunesmith.models.engine.forcing import log_probabilities
from tunesmith.tuning.forgetting.harness import Tasks, read_tasks
from tunesmith.tuning.forgetting.reading import Reader

CHOICE = """task: own_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{right}}}}"
doc_to_choice: "{{{{ends}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
ROLLING = """task: own_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{question}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: bits_per_byte}}]
"""
WRITTEN = """task: own_written
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{ends[0]}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 5}}
metric_list: [{{metric: exact_match}}]
"""
ROWS = [{"question": f"the lamp number {n} is", "ends": ["on", "off", "gone"], "right": n % 3} for n in range(12)]

needs_harness = pytest.mark.skipif(not find_spec("lm_eval"), reason="pip install 'tunesmith[lm-eval]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # the harness and its libraries warn of themselves


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("harness")
    build_adapter(build_tiny(folder / "tiny"), folder / "loud")
    return Engine(folder / "tiny", dtype="float64"), str(folder / "loud")


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, text in (("choice", CHOICE), ("rolling", ROLLING), ("written", WRITTEN)):
        (folder / f"{name}.yaml").write_text(text.format(data=data))
    return folder


@needs_harness
@pytest.mark.parametrize("adapted", [False, True])
def test_a_choice_is_marked_by_the_likelihood_that_the_engine_gives(engine, tasks, adapted):
    model, adapter = engine[0], engine[1] if adapted else None
    reader = Reader(model, adapter)
    found = read_tasks(reader, Tasks(names=("own_choice",), folder=str(tasks)))["own_choice"]
    assert (found.metric, found.kind, found.read.sizes) == ("acc", "items", (3.0,) * 12)
    for row, right in zip(ROWS, found.read.values, strict=True):
        begin = reader._ids(row["question"])
        likelihoods = [
            sum(log_probabilities(model.model, begin + reader._ids(f" {end}"), len(begin), reader.adapter))
            for end in row["ends"]
        ]
        assert right == float(likelihoods.index(max(likelihoods)) == row["right"])


@needs_harness
def test_bits_per_byte_are_those_of_the_text(engine, tasks):
    reader = Reader(engine[0])
    found = read_tasks(reader, Tasks(names=("own_rolling",), folder=str(tasks), limit=5))["own_rolling"]
    assert (found.metric, found.kind) == ("bits_per_byte", "bits")
    assert found.read.values == pytest.approx(reader.bits([row["question"] for row in ROWS[:5]]))
    assert found.read.sizes == tuple(float(len(row["question"])) for row in ROWS[:5])


@needs_harness
def test_a_written_answer_is_marked(engine, tasks):
    found = read_tasks(Reader(*engine), Tasks(names=("own_written",), folder=str(tasks), limit=4))["own_written"]
    assert (found.metric, found.kind, found.read.values) == ("exact_match", "items", (0.0,) * 4)


@needs_harness
def test_a_task_that_is_not_there_or_cannot_be_had_is_told_with_its_mend(engine, tasks):
    with pytest.raises(UnknownName, match=r"no task 'own_choise'(.|\n)*own_choice"):
        read_tasks(Reader(engine[0]), Tasks(names=("own_choise",), folder=str(tasks)))
    (tasks / "gone.yaml").write_text(CHOICE.format(data=tasks / "gone.jsonl").replace("own_choice", "own_gone"))
    with pytest.raises(TunesmithError, match=r"could not ask own_gone(.|\n)*data can be had"):
        read_tasks(Reader(engine[0]), Tasks(names=("own_gone",), folder=str(tasks)))


@needs_harness
def test_code_beside_a_task_runs_only_when_trusted(engine, tasks, tmp_path):
    mark = tmp_path / "ran"
    (tasks / "own.py").write_text(f"def end(doc):\n    open({str(mark)!r}, 'w').close()\n    return doc['right']\n")
    text = CHOICE.format(data=tmp_path / "rows.jsonl").replace('"{{right}}"', "!function own.end")
    (tasks / "coded.yaml").write_text(text.replace("own_choice", "own_coded"))
    asked = Tasks(names=("own_coded",), folder=str(tasks))
    with pytest.raises(TunesmithError, match="--trust-code"):
        read_tasks(Reader(engine[0]), asked)
    assert not mark.exists()
    read_tasks(Reader(engine[0]), Tasks(names=("own_coded",), folder=str(tasks), trust_code=True))
    assert mark.exists()


def test_without_the_harness_the_extra_is_named(engine, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(TunesmithError, match=r"pip install 'tunesmith\[lm-eval\]'"):
        read_tasks(Reader(engine[0]), Tasks(names=("piqa",)))


def test_a_task_is_named_by_what_its_folder_holds(tmp_path):
    (tmp_path / "one.yaml").write_text("task: one")
    asked = Tasks(names=("one",), folder=str(tmp_path))
    before = asked.named("one")
    (tmp_path / "one.yaml").write_text("task: one\nnum_fewshot: 3")
    assert asked.named("one") != before
    assert Tasks(names=("one",), folder=str(tmp_path), limit=5).named("one") != asked.named("one")


def test_a_task_is_named_by_the_data_that_its_files_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "rows.jsonl").write_text("{}")
    text = CHOICE.format(data="'*.jsonl'").replace('"{{right}}"', "!function own.end")
    (tmp_path / "tasks" / "one.yaml").write_text(text)
    asked = Tasks(names=("own_choice",), folder="tasks")
    names = [asked.named("own_choice")]
    for file in ("rows.jsonl", "more.jsonl"):
        (tmp_path / file).write_text("{} ")
        names.append(asked.named("own_choice"))
    (tmp_path / "other.txt").write_text("not its data")
    assert len(set(names)) == 3
    assert asked.named("own_choice") == names[-1]


@needs_harness
def test_what_was_asked_is_named_by_documents_and_prompts(engine, tasks, tmp_path):
    def asked() -> str:
        return read_tasks(Reader(engine[0]), Tasks(names=("own_rolling",), folder=str(tasks)))["own_rolling"].documents

    before = asked()
    assert asked() == before
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row | {"question": "x"}) + "\n" for row in ROWS))
    assert asked() != before
