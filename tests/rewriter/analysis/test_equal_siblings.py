"""Equal siblings become one group, and nothing else does."""

from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelexport.rewriter import ModuleRow
from modelexport.rewriter.analysis.equal_siblings import (
    ModuleGroup,
    group_equal_siblings,
    list_groups,
)

Spec = tuple[str, list[tuple[str, "Spec"]]]
"""A module: its class, and its children, each with what its tag adds."""

NAMED = ["/a", "/b", "/list.x"]


def module(class_name: str, *children: tuple[str, Spec]) -> Spec:
    return class_name, list(children)


def numbered(stem: str, *specs: Spec) -> list[tuple[str, Spec]]:
    """Children that are called by numbers, from 0."""
    return [(f"{stem}.{number}", spec) for number, spec in enumerate(specs)]


def rows_of(
    spec: Spec, tag: str = "/Net", depth: int = 0, parent: str | None = None
) -> list[ModuleRow]:
    """The rows of a module: each has one node and one parameter of its own."""
    class_name, children = spec
    below = [rows_of(child, tag + step, depth + 1, tag) for step, child in children]
    inside = [row for rows in below for row in rows]
    count = 1 + len(inside)
    row = ModuleRow(
        tag=tag,
        path=tag,
        class_name=class_name,
        depth=depth,
        own_nodes=1,
        nodes=count,
        op_types={class_name: count},
        own_parameters=1,
        parameters=count,
        share=0.5,
        macs=3 * count,
        parent=parent,
    )
    return [row, *inside]


def specs() -> st.SearchStrategy[Spec]:
    """Trees of few classes, so that equal siblings are frequent, at every level."""
    classes = st.sampled_from(["A", "B"])

    def parents(children: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
        listed = st.lists(children, max_size=5).map(lambda modules: numbered("/list", *modules))
        unlisted = st.lists(children, max_size=5).map(lambda modules: numbered("", *modules))
        named = st.lists(st.tuples(st.sampled_from(NAMED), children), max_size=2, unique_by=str)
        below = st.tuples(listed, unlisted, named).map(
            lambda parts: list(dict(chain(*parts)).items())
        )
        return st.tuples(classes, below)

    return st.recursive(st.tuples(classes, st.just([])), parents, max_leaves=12)


def unfolded(groups: Sequence[ModuleGroup]) -> Iterator[str]:
    """The tag of every module in the groups."""
    for group in groups:
        for member in group.members:
            yield member.tag
            yield from unfolded(member.groups)


def every_group(
    groups: Sequence[ModuleGroup],
) -> Iterator[tuple[Sequence[ModuleGroup], ModuleGroup]]:
    """Every group, with those that are beside it."""
    for group in groups:
        yield groups, group
        for member in group.members:
            yield from every_group(member.groups)


def subtree(rows: Sequence[ModuleRow], tag: str) -> list[tuple[object, ...]]:
    """All that is shown of a module and of what is below it, by names relative to it."""
    return [
        (row.tag.removeprefix(tag), row.class_name, row.nodes, row.op_types, row.parameters)
        for row in rows
        if row.tag == tag or row.tag.startswith((f"{tag}/", f"{tag}."))
    ]


def stem_and_number(tag: str) -> tuple[str, int] | None:
    stem, _, number = tag.rpartition(".")
    return (stem, int(number)) if number.isdecimal() else None


@given(specs())
def test_unfolding_gives_back_the_rows(spec: Spec) -> None:
    """Every module is in one group, in the order of the rows, whether runs are joined or not."""
    rows = rows_of(spec)
    tags = [row.tag for row in rows]
    assert list(unfolded(group_equal_siblings(rows))) == tags
    single = group_equal_siblings(rows, every_module=True)
    assert list(unfolded(single)) == tags
    assert {len(group.members) for _, group in every_group(single)} == {1}


@given(specs(), st.randoms(use_true_random=False))
def test_no_order_loses_a_module(spec: Spec, random: Random) -> None:
    """In whatever order modules are shown, each is in one group, and each group is a run."""
    rows = rows_of(spec)
    random.shuffle(rows)
    groups = group_equal_siblings(rows)
    assert sorted(unfolded(groups)) == sorted(row.tag for row in rows)
    actual = list(every_group(groups))
    assert actual
    for _, group in actual:
        places = [stem_and_number(member.tag) for member in group.members]
        steps = [None if a is None else (a[0], a[1] + 1) for a in places[:-1]]
        assert None not in steps
        assert places[1:] == steps


@given(specs())
def test_a_group_is_of_equal_modules_and_as_long_as_can_be(spec: Spec) -> None:
    """Members have equal subtrees; what comes before or after a group differs from it."""
    rows = rows_of(spec)
    groups = list(every_group(group_equal_siblings(rows)))
    assert groups
    for siblings, group in groups:
        trees = [subtree(rows, member.tag) for member in group.members]
        assert trees == [trees[0]] * len(trees)
        last = stem_and_number(group.members[-1].tag)
        following = None if last is None else (last[0], last[1] + 1)
        neighbours = [s.first.tag for s in siblings if stem_and_number(s.first.tag) == following]
        assert trees[0] not in [subtree(rows, tag) for tag in neighbours if following is not None]


@given(specs())
def test_lines_stand_for_all_modules(spec: Spec) -> None:
    """The modules of all lines are those of the file, and so are their own nodes."""
    rows = rows_of(spec)
    by_tag = {row.tag: row for row in rows}
    lines = list(list_groups(group_equal_siblings(rows)))
    assert sum(line.modules for line in lines) == len(rows)
    own = sum(by_tag[line.first].times(line.modules).own_nodes for line in lines)
    assert own == rows[0].nodes
    assert len({line.tag for line in lines}) == len(lines)


def layers(*kinds: str) -> list[ModuleRow]:
    """A network of layers, each a class of its own name with one linear module."""
    specs = (module(kind, ("/fc", module("Linear"))) for kind in kinds)
    return rows_of(module("Net", *numbered("/layer", *specs)))


def names(groups: Sequence[ModuleGroup]) -> list[tuple[str, int]]:
    """Name and size of what is below the root."""
    (root,) = groups
    return [(group.name, len(group.members)) for group in root.first.groups]


def test_runs_of_equal_layers() -> None:
    """Where layers differ, each run of equal ones is a group, and a single one stays as it is."""
    groups = group_equal_siblings(layers("A", "A", "A", "B", "A", "A", "A", "A"))
    assert names(groups) == [("layer.(0-2)", 3), ("layer.3", 1), ("layer.(4-7)", 4)]
    assert [line.tag for line in list_groups(groups)] == [
        "/Net",
        *("/Net/layer.(0-2)", "/Net/layer.(0-2)/fc"),
        *("/Net/layer.3", "/Net/layer.3/fc"),
        *("/Net/layer.(4-7)", "/Net/layer.(4-7)/fc"),
    ]


def test_layers_that_take_turns_are_not_joined() -> None:
    """Equal layers that are apart are no run."""
    assert [size for _, size in names(group_equal_siblings(layers("A", "B", "A", "B")))] == [1] * 4


def test_groups_inside_groups() -> None:
    """Equal experts in equal layers: a line stands for the experts of all layers."""
    experts = numbered("/experts", *[module("Expert")] * 4)
    rows = rows_of(module("Net", *numbered("/layer", *[module("Layer", *experts)] * 3)))
    lines = list(list_groups(group_equal_siblings(rows)))
    assert [(line.tag, line.siblings, line.modules) for line in lines] == [
        ("/Net", 1, 1),
        ("/Net/layer.(0-2)", 3, 3),
        ("/Net/layer.(0-2)/experts.(0-3)", 4, 12),
    ]


def test_numbers_directly_below_the_root() -> None:
    """As in a Sequential: there is no name before the number."""
    rows = rows_of(module("Sequential", *numbered("", *[module("Linear")] * 3)))
    assert names(group_equal_siblings(rows)) == [("(0-2)", 3)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_name", "Other"),
        ("own_nodes", 7),
        ("nodes", 7),
        ("op_types", {"Other": 2}),
        ("own_parameters", 7),
        ("parameters", 7),
        ("macs", 7),
        ("unknown_macs", 7),
        ("weight_bytes", 7),
        ("activation_bytes", 7),
        ("unknown_activations", 7),
    ],
)
@pytest.mark.parametrize("position", [3, 4], ids=["layer", "below"])
def test_whatever_is_shown_makes_a_difference(field: str, value: object, position: int) -> None:
    """Of a layer itself, and of what is below it."""
    rows = layers("A", "A", "A")
    assert len(names(group_equal_siblings(rows))) == 1
    rows[position] = msgspec.structs.replace(rows[position], **{field: value})
    assert [size for _, size in names(group_equal_siblings(rows))] == [1, 1, 1]


def test_a_module_more_makes_a_difference() -> None:
    """A layer without the module that the others have is no equal."""
    rows = layers("A", "A", "A")
    assert [size for _, size in names(group_equal_siblings(rows[:-1]))] == [2, 1]


def test_what_is_not_shown_makes_none() -> None:
    """The evidence is not shown, and operators are counted, not ordered."""
    rows = layers("A", "A")
    rows[1] = msgspec.structs.replace(rows[1], evidence={"names": 2}, op_types={"A": 1, "B": 1})
    rows[3] = msgspec.structs.replace(rows[3], evidence={"values": 2}, op_types={"B": 1, "A": 1})
    assert names(group_equal_siblings(rows)) == [("layer.(0-1)", 2)]


@pytest.mark.parametrize(
    "tags", [["/N/a.0", "/N/b.1"], ["/N/a.0", "/N/a.2"], ["/N/a.00", "/N/a.01"]]
)
def test_siblings_that_are_no_run(tags: list[str]) -> None:
    """Another name, a gap, numbers that are written otherwise."""
    rows = [msgspec.structs.replace(layers("A")[1], tag=tag) for tag in tags]
    assert [group.name for group in group_equal_siblings(rows)] == [tag[1:] for tag in tags]


def test_sorted_by_name_ten_comes_behind_nine() -> None:
    """A run is of numbers, though text puts 10 before 2."""
    rows = sorted(layers(*["A"] * 12), key=lambda row: row.tag)
    assert names(group_equal_siblings(rows)) == [("layer.(0-11)", 12)]


def test_modules_of_several_files_are_equal_in_each() -> None:
    """A layer that differs in one of the files is apart in all."""
    plain, changed = layers("A", "A", "A", "A"), layers("A", "A", "B", "A")
    assert names(group_equal_siblings(plain, plain)) == [("layer.(0-3)", 4)]
    expected = [("layer.(0-1)", 2), ("layer.2", 1), ("layer.3", 1)]
    assert names(group_equal_siblings(plain, changed)) == expected
    assert names(group_equal_siblings(plain, plain[:-2])) == [("layer.(0-2)", 3), ("layer.3", 1)]
