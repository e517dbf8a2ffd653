"""A model tuned with retrieved examples in its prompts learns from, and is asked with, the same messages."""

from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.contenders import contender_kind, open_contender
from tunesmith.core.contenders import Contender
from tunesmith.core.runs import Run
from tunesmith.models.template import Template
from tunesmith.tuning import LoraConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.learning import learning_rows
from tunesmith.workspace.made_under import settings_changed


def test_what_is_learnt_from_is_what_is_asked(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    table = write_csv(tmp_path / "toy.csv")
    Workspace.init(tmp_path / "toy", source=table)
    tuning = {"retrieved_examples": 2, "epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32"}
    write_settings(tmp_path / "toy", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(tmp_path / "toy")
    workspace.split()
    workspace.tune(anyway=True)
    home = workspace.home
    record = home.latest("contender", "tuned", Contender)[0]
    run = home.latest("run", record.settings["run"], Run)[0]
    answering = Answering(home)
    tuned = open_contender(record, answering.context(run=run))
    train, validation = learning_rows(home, answering, LoraConfig(**run.config))
    watched = [e for e in home.examples() if e.id in set(answering.split.validation)]
    assert [row.messages for row in validation] == [tuned.prepare(e).messages for e in watched]
    for row in (*train, *validation):
        assert [m.role for m in row.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    for example, row in zip(answering.known.train, train, strict=True):
        assert example.prompt == row.messages[-1].content
        assert example.prompt not in [m.content for m in row.messages[:-1]]
    scored = workspace.evaluate(on="validation").contenders["tuned"]
    longest = max(len(Template.open(base).prompt_ids(row.messages)) for row in validation)
    assert longest / 2 < scored.prompt_tokens <= longest  # a mean: short prompts are a tenth as long


def test_without_retrieval_a_tuned_record_says_nothing_of_it(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "toy", source=write_csv(tmp_path / "toy.csv"))
    tuning = {"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32"}
    write_settings(tmp_path / "toy", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(tmp_path / "toy")
    workspace.split()
    workspace.tune(anyway=True)
    record = workspace.home.latest("contender", "tuned", Contender)[0]
    assert set(record.settings) == {"run"}
    assert record.index is None


def test_passages_of_a_long_document_are_learnt_from_and_asked_with_alike(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "toy", source=write_csv(tmp_path / "toy.csv"))
    tuning = {"retrieved_documents": 1, "epochs": 0.3, "rank": 2, "batch_size": 16, "dtype": "float32"}
    contenders = {"retrieval": {"chunk_words": 20}, "too_long": "cut"}
    write_settings(
        tmp_path / "toy", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning, contenders=contenders
    )
    (tmp_path / "book.md").write_text("# Book\n\n" + "\n\n".join(f"page {n} " + "lamp card van " * 7 for n in range(9)))
    workspace = Workspace(tmp_path / "toy")
    workspace.add(tmp_path / "book.md", as_="document")
    workspace.split()
    run = workspace.tune(anyway=True)
    record = workspace.home.latest("contender", "tuned", Contender)[0]
    assert (record.settings["chunk_words"], record.too_long) == (20, "cut")
    answering = Answering(workspace.home)
    tuned = open_contender(record, answering.context(run=run))
    _, validation = learning_rows(workspace.home, answering, LoraConfig(**run.config))
    watched = [e for e in workspace.home.examples() if e.id in set(answering.split.validation)]
    asked = [tuned.prepare(e) for e in watched]
    assert [row.messages for row in validation] == [request.messages for request in asked]
    assert all(len(request.messages[0].content.split("Reference:")[1].split()) <= 22 for request in asked)
    write_settings(tmp_path / "toy", contenders={"retrieval": {"chunk_words": 40}})
    assert (
        open_contender(record, Answering(Workspace(tmp_path / "toy").home).context(run=run)).prepare(watched[0])
        == asked[0]
    )  # the record says what is asked, not the settings of today


def test_what_another_search_found_is_learnt_from_and_asked_with_alike(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "toy", source=write_csv(tmp_path / "toy.csv"))
    tuning = {"retrieved_examples": 2, "epochs": 0.3, "rank": 2, "batch_size": 16, "dtype": "float32"}
    retrieval = {"search": "lexical", "rerank": "maxsim", "candidates": 6}
    model = {"base": str(base), "embedder": "ngrams"}
    write_settings(tmp_path / "toy", model=model, tuning=tuning, contenders={"retrieval": retrieval})
    workspace = Workspace(tmp_path / "toy")
    workspace.split()
    run = workspace.tune(anyway=True)
    record, entry = workspace.home.latest("contender", "tuned", Contender)
    assert {name: record.settings[name] for name in retrieval} == retrieval
    answering = Answering(workspace.home)
    tuned = open_contender(record, answering.context(run=run))
    _, validation = learning_rows(workspace.home, answering, LoraConfig(**run.config))
    watched = [e for e in workspace.home.examples() if e.id in set(answering.split.validation)]
    asked = [tuned.prepare(e).messages for e in watched]
    assert [row.messages for row in validation] == asked
    assert settings_changed(workspace.home, entry) == ""
    write_settings(tmp_path / "toy", contenders={"retrieval": {}})
    plain = Workspace(tmp_path / "toy").home
    assert settings_changed(plain, entry) == "contenders.retrieval.search"
    context = Answering(plain).context(run=run)
    again = open_contender(record, context)  # the record says how it searches, not the settings of today
    assert [again.prepare(e).messages for e in watched] == asked
    others = [open_contender(contender_kind["retrieval"].make(context), context).prepare(e).messages for e in watched]
    assert others != asked


def test_earlier_turns_are_learnt_where_that_is_asked_for_and_never_watched(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "toy", source=write_csv(tmp_path / "toy.csv"))
    tuning = {"retrieved_examples": 2, "earlier_turns": True, "epochs": 1, "rank": 2, "batch_size": 16}
    write_settings(tmp_path / "toy", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(tmp_path / "toy")
    workspace.split()
    template, answering = Template.open(base), Answering(workspace.home)
    train, validation = learning_rows(workspace.home, answering, workspace.home.settings.tuning)
    for row in train:
        encoded = row.encoded(template)
        shown = [len(template.completion_ids(m.content)) for m in row.messages if m.role == "assistant"]
        assert encoded.supervised == sum(shown) + len(template.completion_ids(row.completion))
    assert len(shown) == 2
    assert all(not row.earlier for row in validation)
    assert workspace.tune(anyway=True).steps == 1 + (len(train) - 1) // 16
