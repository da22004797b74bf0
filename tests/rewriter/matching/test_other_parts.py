"""Files that are another part of the recorded model: an encoder, with the record of a decoder."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from modelexport.errors import ForeignRecordError
from modelexport.rewriter.matching.evidence.comparison_modes import FULL_PRECISION
from modelexport.rewriter.matching.evidence.idle_weights import IdleWeights
from modelexport.rewriter.matching.evidence.values import ValueMatch, match_values
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.match_sources import MatchSources
from modelexport.rewriter.matching.recognizer import Recognizer
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.values import value_side

NODES = len(two_layers().graph.node)


def notes(weights: WeightMatch, values: ValueMatch | None = None) -> tuple[str, ...]:
    """The notes of the check of a file whose names are all recorded ones."""
    with ThreadPoolExecutor(1) as executor:
        record = two_layers_record()
        recognizer = Recognizer(two_layers(), record, "f.onnx", MatchSources(), executor)
        return recognizer.check_same_model(values, weights, NODES)


def test_the_record_of_another_part_is_refused() -> None:
    """Where most matrices are of modules that did not run, unless values agree."""
    idle = IdleWeights(frozenset({1, 2}), 2, "encoder", 3)
    weights = WeightMatch(idle=idle, matched_elements=9, distinctive_elements=9)
    with pytest.raises(ForeignRecordError, match=r"another part.*2 of the 3 matrices.*encoder"):
        notes(weights)
    assert notes(replace(weights, idle=replace(idle, compared=4))) == ()
    side = value_side("g (float[2] x) => (float[2] a) { a = Relu (x) }", {})
    values = replace(match_values(side, side, FULL_PRECISION), file_share=1.0)
    assert notes(weights, values) == ()
