"""The front: nothing on it is beaten, everything off it is."""

from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.scorecard import Scorecard
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.search.scores import Merits, front

unit = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
merits = st.builds(
    Merits,
    accuracy=unit,
    ifr=unit,
    calibration=unit,
    output_tokens=st.sampled_from([1.0, 5.0]),
    length=st.integers(1, 4),
)


def merit(accuracy: float, ifr: float = 0.5, length: int = 10) -> Merits:
    return Merits(accuracy=accuracy, ifr=ifr, calibration=0.5, output_tokens=4.0, length=length)


def test_a_prompt_that_is_worse_in_every_respect_is_off_the_front():
    assert front({"a": merit(0.9), "b": merit(0.8)}) == ("a",)


def test_a_shorter_prompt_that_is_as_good_beats_the_longer_one():
    assert front({"long": merit(0.9, length=200), "short": merit(0.9, length=20)}) == ("short",)


def test_prompts_that_trade_one_merit_for_another_are_both_on_the_front():
    assert front({"right": merit(0.9, ifr=0.5), "neat": merit(0.7, ifr=1.0)}) == ("neat", "right")


@given(st.dictionaries(st.sampled_from("abcdef"), merits, min_size=1))
def test_everything_off_the_front_is_beaten_by_something_on_it(given_merits: dict[str, Merits]):
    on = front(given_merits)
    assert on
    for id, own in given_merits.items():
        beaten_by = [other for other in on if given_merits[other].beats(own)]
        assert (id in on) != bool(beaten_by)


def test_merits_are_means_over_tasks_and_models():
    scores = {
        "one": {"m": Scorecard(n=1, accuracy=0.5, ifr=1.0, ece=0.2, output_tokens=3.0)},
        "other": {"m": Scorecard(n=1, accuracy=1.0, ifr=1.0, ece=0.4, output_tokens=5.0)},
    }
    found = Merits.of(Prompt(text="Decide."), scores)
    assert (found.accuracy, found.ifr, found.output_tokens, found.length) == (0.75, 1.0, 4.0, 7)
    assert found.calibration is not None
    assert abs(found.calibration - 0.7) < 1e-12


def test_a_merit_that_is_undefined_somewhere_is_undefined():
    scores = {"one": {"m": Scorecard(n=1, accuracy=0.5), "k": Scorecard(n=1)}}
    assert Merits.of(Prompt(text="x"), scores).accuracy is None


def test_fewer_output_tokens_are_better_and_an_undefined_merit_is_the_worst():
    merits = {
        tokens: Merits(accuracy=0.5, ifr=0.5, calibration=0.5, output_tokens=tokens, length=4)
        for tokens in (None, 5.0, 1.0)
    }
    order = [merits[tokens] for tokens in (None, 5.0, 1.0)]
    assert [[one.beats(other) for other in order] for one in order] == [
        [False, False, False],
        [True, False, False],
        [True, True, False],
    ]
    assert merit(0.5).beats(Merits(None, 0.5, 0.5, 4.0, 10))
