"""The filter in front of the ledger: sure of what was never recorded."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.llm.ledger.ledger import Bloom

KEY = st.binary(min_size=16, max_size=16)


@given(st.sets(KEY))
def test_what_was_added_is_always_found(keys: set[bytes]) -> None:
    bloom = Bloom()
    for key in keys:
        bloom.add(key)
    assert all(key in bloom for key in keys)


def test_a_stranger_is_seldom_taken_for_a_member() -> None:
    draw, bloom = Random(1), Bloom()
    for _ in range(300_000):
        bloom.add(draw.randbytes(16))
    strangers = sum(draw.randbytes(16) in bloom for _ in range(50_000))
    assert strangers < 50_000 / 200
