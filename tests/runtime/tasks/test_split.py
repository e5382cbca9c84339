"""Splitting: seeded, stratified, exact in number, and no row on both sides."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.tasks._duplicates import Near, asked, near_pairs
from transfer_prompting.runtime.tasks.example import Example, Splits
from transfer_prompting.runtime.tasks.split import parts, split_pool
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.tasks import SplitSettings

WORDS = [
    "apple",
    "river",
    "stone",
    "cloud",
    "lamp",
    "garden",
    "winter",
    "engine",
    "paper",
    "violin",
    "copper",
    "meadow",
]


def row(number: int, gold: str, text: str | None = None) -> Example:
    chosen = random.Random(number).choices(WORDS, k=12)
    return Example(str(number), text or f"{' '.join(chosen)} {number}", gold)


def rows(count: int, labels: int = 2) -> list[Example]:
    return [row(i, f"label {i % labels}") for i in range(count)]


def split(pool: list[Example], sizes: SplitSettings | None = None, seed: int = 0) -> tuple[Splits, list[str]]:
    return split_pool(
        "t",
        pool,
        sizes or SplitSettings(),
        stratum=lambda example: example.gold,
        shuffle=random.Random(seed).shuffle,
    )


def ids(splits: Splits) -> list[list[str]]:
    return [[example.id for example in members] for _, members in parts(splits)]


@given(st.lists(st.integers(0, 3), min_size=20, max_size=120), st.integers(0, 5))
def test_counts_are_met_exactly_and_every_split_has_its_share_of_each_label(golds: list[int], seed: int):
    pool = [row(i, str(gold)) for i, gold in enumerate(golds)]
    splits, _ = split(pool, SplitSettings(train=8, validation=5, test=7), seed)
    assert [len(part) for part in ids(splits)] == [8, 5, 7]
    assert len({one for part in ids(splits) for one in part}) == 20
    whole = Counter(example.gold for example in pool)
    for _, members in parts(splits):
        held = Counter(example.gold for example in members)
        for gold, count in whole.items():
            assert abs(held[gold] - len(members) * count / len(pool)) < 2


def test_shares_use_every_row_once():
    splits, _ = split(rows(101))
    assert [len(part) for part in ids(splits)] == [41, 30, 30]
    assert sorted((one for part in ids(splits) for one in part), key=int) == [str(i) for i in range(101)]


def test_shares_below_one_in_all_leave_rows_out():
    splits, _ = split(rows(100), SplitSettings(train=0.1, validation=0.1, test=0.2))
    assert [len(part) for part in ids(splits)] == [10, 10, 20]


def test_the_same_seed_splits_alike_and_another_differently():
    pool = rows(60)
    assert ids(split(pool, seed=1)[0]) == ids(split(pool, seed=1)[0]) != ids(split(pool, seed=2)[0])


def test_more_rows_than_there_are_is_refused_with_the_counts():
    with pytest.raises(
        InputError, match=r"tasks\.t\.split: 60 \+ 40 \+ 100 = 200 rows wanted, but the data holds 60"
    ):
        split(rows(60), SplitSettings(train=60, validation=40, test=100))


@pytest.mark.parametrize(
    "sizes", [SplitSettings(train=0, validation=5, test=5), SplitSettings(train=1, validation=0, test=0)]
)
def test_an_empty_split_is_refused_with_the_counts(sizes: SplitSettings):
    with pytest.raises(InputError, match=r"tasks\.t\.split: .* every split needs at least one"):
        split(rows(20), sizes)


@given(st.integers(0, 20), st.lists(st.integers(0, 29), min_size=5, max_size=25))
def test_rows_that_ask_the_same_never_stand_in_two_splits(seed: int, copies: list[int]):
    pool = rows(30)
    pool += [row(100 + i, pool[c].gold, f"  {pool[c].question.upper()} ") for i, c in enumerate(copies)]
    splits, said = split(pool, seed=seed)
    homes: dict[str, set[str]] = {}
    for part, members in parts(splits):
        for example in members:
            homes.setdefault(asked(example), set()).add(part)
    assert all(len(home) == 1 for home in homes.values())
    assert sum(len(members) for _, members in parts(splits)) == len(pool)
    assert (
        said[0] == f"rows that repeat another: {len(copies)}; each is kept in the split of the row it repeats"
    )


def test_rows_that_differ_in_a_word_stay_together_and_are_told():
    text = " ".join(f"{word}{i}" for i in range(5) for word in WORDS)
    pool = [*rows(38), row(100, "label 0", text), row(101, "label 0", f"{text} indeed")]
    for seed in range(10):
        splits, said = split(pool, seed=seed)
        homes = [
            part for part, members in parts(splits) if {"100", "101"} & {example.id for example in members}
        ]
        assert len(homes) == 1
        assert "pairs of nearly equal rows: 1; each is kept in one split" in said


def test_rows_of_one_template_may_be_parted_and_are_told():
    text = " ".join(f"{word}{i}" for i in range(5) for word in WORDS)
    pool = [row(i, f"label {i % 2}", f"{text} {i}") for i in range(40)]
    splits, said = split(pool, SplitSettings(train=20, validation=10, test=10))
    assert [len(part) for part in ids(splits)] == [20, 10, 10]
    assert any("one template, it seems" in one for one in said)


def test_the_same_question_with_two_answers_is_told():
    _, said = split([*rows(20), row(50, "a", "Is it so?"), row(51, "b", "is it  SO?")])
    assert "questions of several rows with different answers: 1" in said


def test_counts_that_duplicates_leave_no_room_for_are_refused():
    pool = [row(i, "x", f"question number {i // 6} of many") for i in range(12)]
    with pytest.raises(InputError, match=r"tasks\.t\.split: duplicates stay in one split"):
        split(pool, SplitSettings(train=4, validation=4, test=4))


def test_the_order_of_choices_makes_no_other_question():
    one = Example("1", "Which?", "A", choices=("red", "blue"))
    other = Example("2", "which?", "B", choices=("Blue", "red"))
    assert asked(one) == asked(other) != asked(Example("3", "Which?", "A", choices=("red", "green")))


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14), max_size=25))
def test_near_pairs_are_exactly_those_of_a_full_comparison(texts: list[list[str]]):
    keys = [" ".join(words) for words in texts]

    def shingles(key: str) -> set[tuple[str, ...]]:
        words = key.split()
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)} if len(words) > 3 else {tuple(words)}

    wanted = {
        (i, j)
        for j in range(len(keys))
        for i in range(j)
        if keys[i] != keys[j]
        and len(shingles(keys[i]) & shingles(keys[j])) >= 0.7 * len(shingles(keys[i]) | shingles(keys[j]))
    }
    assert near_pairs(keys, 0.7) == Near(tuple(sorted(wanted, key=lambda pair: pair[::-1])), len(keys))


def test_nearly_equal_chinese_texts_are_found():
    text = "".join(chr(0x4E00 + 7 * i) for i in range(60))
    assert near_pairs([text, "其他完全不同的句子在这里", f"{text}也"]).pairs == ((0, 2),)


def test_a_search_among_texts_of_one_template_ends_and_says_how_far_it_came():
    text = " ".join(f"{word}{i}" for i in range(5) for word in WORDS)
    found = near_pairs([f"{text} {i}" for i in range(300)], work=100_000)
    assert 10 < found.searched < 100
    assert len(found.pairs) == found.searched * (found.searched - 1) / 2
