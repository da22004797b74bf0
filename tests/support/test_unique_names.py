"""Names that are given out once only."""

from hypothesis import given
from hypothesis import strategies as st

from modelexport.support.unique_names import UniqueNames


def test_a_name_gets_a_number_when_it_is_taken() -> None:
    """The first free number is appended; numbered names can themselves be taken."""
    names = UniqueNames(["a", "a_1"])
    assert [names.take(name) for name in ("a", "b", "b", "a", "b_1")] == [
        *("a_2", "b", "b_1", "a_3", "b_1_1")
    ]


@given(taken=st.sets(st.text("ab_1", max_size=4)), asked=st.lists(st.text("ab_1", max_size=4)))
def test_no_name_is_given_twice(taken: set[str], asked: list[str]) -> None:
    """Whatever is taken and asked for, all names differ."""
    names = UniqueNames(taken)
    given_out = [names.take(name) for name in asked]
    assert len({*given_out, *taken}) == len(given_out) + len(taken)
