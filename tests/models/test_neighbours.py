import numpy as np
import pytest

from tunesmith.models import neighbours
from tunesmith.models.neighbours import nearest


def by_hand(queries, corpus, k):
    """All cosines in float64, sorted by similarity to six decimals, then by index."""
    q = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    c = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
    cosines = np.round(q.astype(np.float64) @ c.T.astype(np.float64), 6)
    order = np.stack([np.lexsort((np.arange(len(corpus)), -row)) for row in cosines])[:, :k]
    return order, np.take_along_axis(cosines, order, 1)


@pytest.mark.parametrize(("rows", "k"), [(1, 1), (7, 3), (16, 16), (100, 5), (100, 40)])
def test_small_blocks_find_what_sorting_all_cosines_finds(monkeypatch, rows, k):
    monkeypatch.setattr(neighbours, "QUERIES", 4)
    monkeypatch.setattr(neighbours, "ROWS", 16)  # 100 rows: blocks of 16 and a rest of 4; k of 40 spans several
    random = np.random.default_rng(rows * 1000 + k)
    queries, corpus = random.normal(size=(11, 8)), random.normal(size=(rows, 8))
    indices, similarities = nearest(queries, corpus, k)
    wanted_indices, wanted = by_hand(queries, corpus, k)
    assert similarities == pytest.approx(wanted, abs=2e-6)
    # float32 may swap two rows whose cosines round to neighbouring millionths; none of these seeds does
    assert (indices == wanted_indices).all()


def test_equal_rows_are_a_tie_and_the_lower_index_stands_first(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", 8)
    row = np.random.default_rng(0).normal(size=24)
    corpus = np.vstack([-row, *[row * scale for scale in range(1, 30)]])  # cosine 1 with each but the first
    indices, similarities = nearest(row[None], corpus, 12)
    assert indices.tolist() == [list(range(1, 13))]
    assert similarities == pytest.approx(1.0, abs=1e-6)


def test_a_tie_across_blocks_keeps_the_earlier_block(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", 2)
    corpus = np.array([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], float)
    assert nearest(np.array([[1.0, 0.0]]), corpus, 2)[0].tolist() == [[0, 2]]


def test_a_later_row_that_is_better_by_a_millionth_is_found(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", 2)
    cosines = np.array([0.5, 0.1, 0.2, 0.500001])
    corpus = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    assert nearest(np.array([[1.0, 0.0]]), corpus, 1)[0].tolist() == [[3]]


def test_lengths_of_vectors_do_not_matter_and_a_zero_row_is_like_nothing():
    corpus = np.array([[0, 0], [3, 4], [-30, -40]], float)
    indices, similarities = nearest(np.array([[0.6, 0.8], [0, 0]]), corpus, 3)
    assert indices.tolist() == [[1, 0, 2], [0, 1, 2]]
    assert similarities == pytest.approx(np.array([[1, 0, -1], [0, 0, 0]]), abs=1e-6)


def test_fewer_rows_than_asked_for_give_all_of_them():
    indices, similarities = nearest(np.ones((2, 3)), np.ones((2, 3)), 5)
    assert indices.shape == similarities.shape == (2, 2)
    assert nearest(np.ones((2, 3)), np.ones((0, 3)), 5)[0].shape == (2, 0)
    assert nearest(np.ones((0, 3)), np.ones((2, 3)), 1)[0].shape == (0, 1)


def test_vectors_of_two_embedders_are_refused():
    with pytest.raises(ValueError, match=r"queries \(1, 3\) and corpus \(1, 4\)"):
        nearest(np.ones((1, 3)), np.ones((1, 4)), 1)
