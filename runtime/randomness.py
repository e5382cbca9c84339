"""All randomness of a run: generators drawn from (seed, purpose, key), never from a shared stream."""

import hashlib
import random


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose; equal arguments give equal seeds, in any order of asking."""
    content = "\0".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int) -> random.Random:
    """A generator for one purpose, independent of every other."""
    return random.Random(derived_seed(seed, *purpose))
