"""Stripping single kinds of what annotating wrote."""

import json
from itertools import combinations
from pathlib import Path

import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter import annotate, strip
from tests.helpers.commands import Run
from tests.helpers.handmade import TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES, record_of, two_layers

KINDS = [Inject.METADATA, Inject.ATTRIBUTES, Inject.NAMES]
SOME = [kinds for size in (1, 2) for kinds in combinations(KINDS, size)]


def annotated(plain: Path, *kinds: Inject, name: str = "a.onnx") -> Path:
    target = plain.with_name(name)
    record = record_of(two_layers(), TWO_LAYERS_MODULES, [*TWO_LAYERS_SCOPES[:-1], ""])
    annotate(plain, record, target, inject=kinds)
    return target


def present(path: Path, plain: Path) -> set[Inject]:
    """What of ours is on the nodes of a file."""
    kinds = set()
    before = {node.name for _, node in walk_nodes(onnx.load(plain))}
    for _, node in walk_nodes(onnx.load(path)):
        kinds |= {Inject.METADATA for e in node.metadata_props if e.key == keys.TAG}
        kinds |= {Inject.ATTRIBUTES for a in node.attribute if a.name == keys.TAG_ATTRIBUTE}
        kinds |= {Inject.NAMES} if node.name not in before else set()
    return kinds


@pytest.mark.parametrize("kinds", SOME, ids="+".join)
def test_only_these_kinds_go(plain: Path, kinds: tuple[Inject, ...]) -> None:
    """The others stay, just as a file that was annotated with these alone has them."""
    source, target = annotated(plain, *KINDS), plain.with_name("s.onnx")
    left = [kind for kind in KINDS if kind not in kinds]
    strip(source, target, only=kinds)
    assert present(target, plain) == set(left)
    assert onnx.load(target) == onnx.load(annotated(plain, *left, name="left.onnx"))


@pytest.mark.parametrize("kinds", SOME, ids="+".join)
def test_what_is_kept_can_be_stripped_later(plain: Path, kinds: tuple[Inject, ...]) -> None:
    """Keeping some and stripping again gives the very bytes from before."""
    source, kept, back = (plain.with_name(f"{n}.onnx") for n in ("e", "k", "b"))
    annotated(plain, *KINDS, name="e.onnx")
    strip(source, kept, keep=kinds)
    assert present(kept, plain) == set(kinds)
    strip(kept, back)
    assert back.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_only_kind_leaves_nothing(plain: Path, kind: Inject) -> None:
    """When nothing of ours is left on the nodes, the module tree goes too."""
    one, back = annotated(plain, kind), plain.with_name("b.onnx")
    strip(one, back, only=[kind])
    assert back.read_bytes() == plain.read_bytes()


def test_functions_and_all_else_at_once(plain: Path) -> None:
    """Unfolded and stripped in one go: the nodes from before, and counts of what went."""
    folded, back = annotated(plain, Inject.FUNCTIONS), plain.with_name("b.onnx")
    assert onnx.load(folded).functions
    result = strip(folded, back, only=[Inject.FUNCTIONS, *KINDS])
    flat = onnx.load(back)
    assert not flat.functions
    assert list(flat.graph.node) == list(onnx.load(plain).graph.node)
    assert not flat.metadata_props
    assert result.calls == sum(bool(n.domain) for n in onnx.load(folded).graph.node)
    assert result.keys[keys.TAG] == len(flat.graph.node)


def test_wrong_choices(plain: Path) -> None:
    """Both lists, a list of everything, and functions where there are none."""
    one, target = annotated(plain, Inject.METADATA), plain.with_name("t.onnx")
    for options in ({"keep": KINDS[:1], "only": KINDS[1:]}, {"keep": KINDS},
                    {"only": [Inject.FUNCTIONS]}):  # fmt: skip
        with pytest.raises(UsageError):
            strip(one, target, **options)
        assert not target.exists()


def test_the_command(plain: Path, run: Run) -> None:
    """Kinds by option, what went as JSON, and one sentence for options that do not fit."""
    source, target = annotated(plain, *KINDS), plain.with_name("s.onnx")
    ran = run("strip", source, "-o", target, "--keep", "names", "--output-format", "json")
    printed = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert printed["attributes"] == len(onnx.load(plain).graph.node)
    assert present(target, plain) == {Inject.NAMES}
    wrong = run("strip", source, "-o", target, "--functions", "--keep", "names")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
