import pytest
import torch

from tunesmith.core.contenders import Decoding
from tunesmith.models.engine.memory import Prefix, PrefixShelf, Slots
from tunesmith.models.engine.picking import Sampler, pick
from tunesmith.models.engine.prefixes import Together, share


def prefix(ids, floats=1):
    return Prefix(tuple(ids), {0: torch.zeros(1, len(ids), floats)}, {0: torch.zeros(1, len(ids), floats)})


def test_prompts_of_two_systems_form_two_groups():
    one, other = list(range(300)), list(range(500, 900))
    prompts = [[*one, 1000], [*other, 1001], [*one, 1002], [*other, 1003]]
    assert sorted(share(prompts)) == [Together(300, [0, 2]), Together(400, [1, 3])]


def test_a_group_must_save_more_than_it_costs():
    # cutting after the 20 shared tokens would save 2 x 100 tokens more, less than a group costs (256)
    one, other = [*range(20), *range(100, 200)], [*range(20), *range(300, 400)]
    prompts = [[*one, 1], [*one, 2], [*other, 3], [*other, 4]]
    assert [(g.length, sorted(g.members)) for g in share(prompts)] == [(20, [0, 1, 2, 3])]


def test_a_beginning_of_a_few_tokens_is_not_stored_apart():
    assert [g.length for g in share([[1, 2, 3, 4], [1, 2, 3, 5]])] == [0]


def test_equal_prompts_share_all_but_the_last_token():
    assert [(g.length, sorted(g.members)) for g in share([list(range(50))] * 3)] == [(49, [0, 1, 2])]


def test_each_prompt_is_in_one_group():
    generator = torch.Generator().manual_seed(3)
    heads = [torch.randint(0, 9, (n,), generator=generator).tolist() for n in (30, 200, 700)]
    prompts = [heads[i % 3] + torch.randint(0, 9, (1 + i % 5,), generator=generator).tolist() for i in range(40)]
    groups = share(prompts)
    assert sorted(i for g in groups for i in g.members) == list(range(40))
    for group in groups:
        assert len({tuple(prompts[i][: group.length]) for i in group.members}) == 1
        assert all(len(prompts[i]) > group.length for i in group.members)
    assert share([]) == []


def test_the_shelf_gives_the_longest_common_beginning_of_the_same_adapter():
    shelf = PrefixShelf(10_000)
    shelf.keep("a", prefix(range(20)))
    shelf.keep("a", prefix([*range(10), 99]))
    shelf.keep("b", prefix(range(30)))
    found = shelf.find("a", [*range(15), 77, 78], at_least=12)
    assert found.ids == tuple(range(15))
    assert found.keys_HPD[0].shape == (1, 15, 1)
    assert shelf.find("a", [*range(15), 77], at_least=16) is None
    assert shelf.find("c", list(range(15)), at_least=1) is None


def test_the_shelf_drops_what_was_used_longest_ago():
    one = prefix(range(10), floats=4)  # 2 x 10 x 4 floats of 4 bytes
    assert one.bytes == 320
    shelf = PrefixShelf(700)
    shelf.keep("a", one)
    shelf.keep("b", prefix(range(10), floats=4))
    assert shelf.find("a", list(range(10)), 5) is not None
    shelf.keep("c", prefix(range(10), floats=4))
    assert [shelf.find(name, list(range(10)), 5) is not None for name in "abc"] == [True, False, True]


def test_a_prefix_larger_than_the_shelf_is_not_kept():
    shelf = PrefixShelf(100)
    shelf.keep("a", prefix(range(10), floats=4))
    assert len(shelf) == 0


def test_slots_keep_what_is_stored_when_they_grow_and_move():
    slots = Slots()
    slots.reserve(1, 3)
    stored = torch.arange(12.0).view(2, 3, 2)  # 2 heads, 3 tokens, 2 wide
    slots.write(0, torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2]), stored, -stored)
    slots.reserve(3, 200)
    slots.move(0, 2, 3)
    keys, values = slots.read(0, slice(2, 3), 3)
    assert torch.equal(keys[0], stored)
    assert torch.equal(values[0], -stored)
    assert slots.read(0, slice(0, 3), 200)[0].isfinite().all()


class Row:
    def __init__(self, **decoding):
        self.guide = None
        self.sampler = Sampler(Decoding(**decoding)) if decoding else None


def test_draws_follow_the_tempered_softmax():
    # softmax of (0, ln 3) / 0.5 is (1, 9) / 10
    sampler = Sampler(Decoding(temperature=0.5, seed=1))
    logits = torch.tensor([0.0, 1.0986123])
    ones = sum(sampler.draw(logits) for _ in range(4000))
    assert ones / 4000 == pytest.approx(0.9, abs=0.02)  # four standard errors: 4 * sqrt(0.09 / 4000) = 0.019


def test_top_p_leaves_the_fewest_tokens_that_hold_it():
    sampler = Sampler(Decoding(temperature=1.0, top_p=0.75, seed=2))
    logits = torch.tensor([0.1, 0.5, 0.3, 0.1]).log()
    assert {sampler.draw(logits) for _ in range(300)} == {1, 2}


def test_rows_without_a_temperature_take_the_likeliest_token():
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0], [0.0, 0.0, 9.0]])
    assert pick(logits, [Row(), Row(), Row(temperature=1e-3, top_p=0.5)]) == [1, 0, 2]
