"""The options of annotating: one list, whoever asks for them."""

from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import (
    AnnotateKeywords,
    AnnotateOptions,
    FoldRules,
    MatchOptions,
)
from modelexport.hierarchy.choices import EvidenceKind, FoldMode, Inject, TagStyle
from modelexport.hierarchy.tags import TagRules
from modelexport.pipeline.batch.plan import AnnotateSettings
from modelexport.rewriter import annotate
from tests.helpers.handmade import two_layers_record


def test_every_option_is_a_keyword() -> None:
    """`annotate` takes each as a keyword of the same type; `inject` may be any collection."""
    options, keywords = get_type_hints(AnnotateOptions), get_type_hints(AnnotateKeywords)
    assert list(keywords) == list(options)
    assert get_args(keywords.pop("inject")) == (Inject,)
    assert keywords == {name: options[name] for name in keywords}


def test_a_plan_has_the_same_defaults() -> None:
    """A batch plan that says nothing annotates as the function does that is told nothing."""
    assert AnnotateSettings().options() == AnnotateOptions()


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": TagRules(TagStyle.CLASS)},
        {"inject": [Inject.NAMES, Inject.ATTRIBUTES]},
        {"inject": [Inject.FUNCTIONS], "fold_rules": FoldRules((FoldMode.ALL,))},
        {"matching": MatchOptions(run=False)},
        {"torch_keys": True, "replace_keys": True},
    ],
)
def test_keywords_and_options_do_the_same(
    plain: Path, tmp_path: Path, changes: AnnotateKeywords
) -> None:
    """An option by its name, or all of them in one value: the files are equal, byte for byte."""
    written = [tmp_path / "by_keyword.onnx", tmp_path / "by_options.onnx"]
    annotate(plain, two_layers_record(), written[0], **changes)
    options = AnnotateOptions().overridden(**changes)
    annotate(plain, two_layers_record(), written[1], options=options)
    assert written[0].read_bytes() == written[1].read_bytes()


def test_a_keyword_wins_over_the_options(plain: Path) -> None:
    """`options` says how a project annotates; a keyword changes one thing."""
    options = AnnotateOptions(rules=TagRules(depth=1), matching=MatchOptions(run=False))
    report = annotate(plain, two_layers_record(), None, options=options, rules=TagRules())
    assert max(str(decision.tag).count("/") for decision in report.decisions) > 2


def test_options_stay_as_they_are() -> None:
    """Options are a value: replacing one makes a new value, and a list becomes a tuple."""
    options = AnnotateOptions()
    assert options.overridden(inject=[Inject.NAMES]).inject == (Inject.NAMES,)
    assert options == AnnotateOptions()
    with pytest.raises(AttributeError, match="immutable"):
        options.torch_keys = True  # type: ignore[misc]


def test_an_unknown_keyword_is_a_mistake(plain: Path) -> None:
    """As in every Python function: a TypeError that names it."""
    with pytest.raises(TypeError, match="tag_style"):
        annotate(plain, two_layers_record(), None, tag_style="class")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MatchOptions(evidence=frozenset()), "No kind of evidence is allowed"),
        (MatchOptions(evidence=frozenset({"magic"})), "Unknown evidence kind 'magic'"),
        (MatchOptions(evidence=frozenset({EvidenceKind.CARRIED})), "Unknown evidence kind"),
        (MatchOptions(probe=Path("in.npz")), "--probe needs --reference"),
        (MatchOptions(run=False, reference=Path("m.onnx")), "--no-run cannot be used"),
        (AnnotateOptions(torch_keys=True, inject=(Inject.FUNCTIONS,)), "--torch-keys"),
    ],
)
def test_options_that_contradict_each_other(
    options: MatchOptions | AnnotateOptions, message: str
) -> None:
    """One sentence, which names the options."""
    with pytest.raises(UsageError, match=message):
        options.check()


@pytest.mark.parametrize("functions", [(), (FoldMode.ALL, FoldMode.NESTED), ("layer.*", "all")])
def test_a_mode_of_folding_stands_alone(functions: tuple[str, ...]) -> None:
    """One mode, or patterns; not both, and not none."""
    with pytest.raises(UsageError, match="--functions"):
        FoldRules(functions)


def test_patterns_match_paths_and_classes() -> None:
    """A pattern is of module paths unless it opens with `class:`."""
    rules = FoldRules(("*.layer.*", "class:*Head"))
    modules = {("encoder.layer.0", "Block"), ("head", "LmHead"), ("embeddings", "Embeddings")}
    matched = {path for path, class_name in modules if rules.matches(path, class_name)}
    assert matched == {"encoder.layer.0", "head"}
    assert FoldRules().patterns == ()
    assert not FoldRules((FoldMode.ALL,)).matches("all", "all")


def test_options_can_be_kept_as_json() -> None:
    """They are plain values: what is written is what is read."""
    options = AnnotateOptions(inject=(Inject.NAMES,), rules=TagRules(depth=2))
    assert msgspec.json.decode(msgspec.json.encode(options), type=AnnotateOptions) == options
