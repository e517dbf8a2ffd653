from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contenders.test_contenders import DOCUMENT, TEST, TRAIN, context, known
from tests.models.cross_encoder import build_cross_encoder

from tunesmith.contenders import ContendersConfig, contender_kind, open_contender
from tunesmith.contenders.retrieval import Finder
from tunesmith.contenders.searching import Index, Way, fused
from tunesmith.core.errors import TunesmithError
from tunesmith.models.embedder import Ngrams
from tunesmith.models.reranking import MaxSim

NGRAMS = Ngrams()
TEXTS = ["blue lamp", "order TC-90 arrived", "lamps, blue ones", "my order", "blue blue lamp", ""]
WAYS = [Way(search=s, rerank=r) for s in ("dense", "lexical", "hybrid") for r in (None, "maxsim")]


def index(texts=TEXTS) -> Index:
    return Index(texts, lambda: NGRAMS)


def config(**retrieval) -> ContendersConfig:
    return ContendersConfig.model_validate({"retrieval": retrieval})


def test_fusion_adds_what_each_ranking_gives_by_place():
    # 3: 1/62 + 1/61; 7: 1/61 (place 1); 9: 1/62; 5: 1/63. Equal: 1 and 2, of which 1 stands in the first list.
    assert fused([[7, 3, 5], [3, 9]]) == [3, 7, 9, 5]
    assert fused([[1], [2]]) == [1, 2]
    assert fused([[4, 5, 6], [6, 5, 4]]) == [4, 6, 5]  # 1/61 + 1/63 is more than 2/62
    assert fused([[], []]) == fused([]) == []


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=8), max_size=4))
def test_fusion_is_that_of_its_definition(lists):
    from fractions import Fraction

    def score(number):
        return sum(Fraction(1, 61 + found.index(number)) for found in lists if number in found)

    made = fused(lists)
    assert sorted(made) == sorted({number for found in lists for number in found})
    assert [score(n) for n in made] == sorted((score(n) for n in made), reverse=True)


def test_each_search_finds_what_it_is_good_at():
    assert index().ranking("blue lamps", 1, Way(search="dense")) == [2]
    assert index().ranking("90", 3, Way(search="lexical")) == [1]
    both = [index().ranking("blue lamp", 9, Way(search=s)) for s in ("dense", "lexical")]
    assert index().ranking("blue lamp", 9, Way(search="hybrid")) == fused(both)


def test_the_first_places_are_ranked_again_and_the_rest_stays():
    plain = index().ranking("order a blue lamp", 9, Way(search="dense"))
    again = index().ranking("order a blue lamp", 9, Way(search="dense", rerank="maxsim", candidates=3))
    scores = MaxSim(NGRAMS).scores("order a blue lamp", [TEXTS[n] for n in plain[:3]])
    assert again[:3] == [plain[i] for i in sorted(range(3), key=lambda i: -scores[i])]
    assert again[3:] == plain[3:]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@given(
    texts=st.lists(st.sampled_from(["blue lamp", "lamp", "", "\u200b", "שלום lamp", "lamp " * 50]), max_size=7),
    query=st.sampled_from(["blue lamp", "", "\u202elamp", "שלום", "?"]),
    barred=st.sets(st.integers(0, 6), max_size=5),
    count=st.integers(0, 4),
)
def test_a_ranking_holds_each_text_once_none_that_is_barred_and_begins_alike_however_long(
    way, texts, query, barred, count
):
    made = index(texts)
    barred &= set(range(len(texts)))
    whole = made.ranking(query, len(texts), way, barred)
    assert made.ranking(query, count, way, barred) == whole[:count]
    assert len(set(whole)) == len(whole)
    assert not set(whole) & barred
    if way.search != "lexical":
        assert len(whole) == len(texts) - len(barred)
    others = [n for n in range(len(texts)) if n not in barred]
    if way.search == "dense":  # else rarity depends on all the texts
        assert [others[n] for n in index([texts[n] for n in others]).ranking(query, 9, way)] == whole


def test_the_plain_way_leaves_records_as_they_were():
    record = contender_kind["retrieval"].make(context())
    assert record.settings == {"examples": 3, "documents": 1}
    from tunesmith.core.codec import digest

    assert record.index == digest([known().hash, NGRAMS.hash])
    assert Way.of(record.settings) == Way()


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.name)
def test_a_record_says_how_it_searches_and_what_it_says_is_done(way):
    made = context(config=config(examples=2, documents=1, **way.settings))
    record = contender_kind["retrieval"].make(made)
    assert Way.of(record.settings) == way
    assert record.index != contender_kind["retrieval"].make(context()).index
    opened = open_contender(record, context())  # the settings of today do not count
    finder = Finder(known(), lambda: NGRAMS, 2, 1, None, way)
    assert opened.prepare(TEST).messages == finder.messages(record.instructions, TEST)


def test_the_ways_differ_in_what_a_prompt_shows():
    shown = {}
    for search in ("dense", "lexical"):
        opened = open_contender(contender_kind["retrieval"].make(c := context(config=config(search=search))), c)
        shown[search] = [m.content for m in opened.prepare(TEST).messages]
    assert shown["dense"] != shown["lexical"]
    assert "Reference:\n" + DOCUMENT.text in shown["lexical"][0]


def test_a_search_by_words_opens_no_embedder():
    made = context(config=config(search="lexical"), embedder=lambda: pytest.fail("the embedder was opened"))
    opened = open_contender(contender_kind["retrieval"].make(made), made)
    assert TRAIN[3].prompt in [m.content for m in opened.prepare(TEST).messages]


def test_what_re_ranks_is_part_of_what_was_measured(tmp_path):
    folder = build_cross_encoder(tmp_path / "cross")
    made = context(config=config(rerank=str(folder), candidates=4))
    record = contender_kind["retrieval"].make(made)
    assert record.settings["rerank"] == str(folder)
    open_contender(record, made)
    build_cross_encoder(folder, seed=1)
    with pytest.raises(TunesmithError, match=r"retrieval searches has changed(.|\n)*tunesmith baseline retrieval"):
        open_contender(record, made)


def test_a_way_is_called_by_what_it_does():
    assert Way(search="hybrid", rerank=str(Path("models") / "small-cross")).name == "hybrid+small-cross"
    assert [way.name for way in WAYS[:3]] == ["dense", "dense+maxsim", "lexical"]
