"""The fuzzer's first sequences, the same in every run."""

from tests.fuzz import run


def test_many_sequences():
    assert run(job=0, seed=1, minutes=None, count=100_000) == 100_000
