"""Matching the nodes of a file with the ops of a record, or with what the file itself carries.

`match_file` is the way in. What other rooms use of this one is listed here.
"""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.rewriter.matching.decisions import Candidate, Decision, Match
    from modelexport.rewriter.matching.evidence.carried import read_carried_hierarchy, refuse_lossy
    from modelexport.rewriter.matching.evidence.carried_hierarchy import (
        OURS,
        CarriedHierarchy,
        metadata_of,
    )
    from modelexport.rewriter.matching.evidence.claims import Claim, Claims
    from modelexport.rewriter.matching.evidence.embedded import (
        embedded_names,
        embedded_parameters,
        embedded_rules,
        embedded_tree,
    )
    from modelexport.rewriter.matching.match_sources import MatchSources, read_inputs
    from modelexport.rewriter.matching.matcher import (
        RECORD,
        match_carried,
        match_file,
        match_record,
    )
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "decisions": ["Candidate", "Decision", "Match"],
            "evidence.carried": ["read_carried_hierarchy", "refuse_lossy"],
            "evidence.carried_hierarchy": ["OURS", "CarriedHierarchy", "metadata_of"],
            "evidence.claims": ["Claim", "Claims"],
            "evidence.embedded": [
                *("embedded_names", "embedded_parameters", "embedded_rules", "embedded_tree"),
            ],
            "match_sources": ["MatchSources", "read_inputs"],
            "matcher": ["RECORD", "match_carried", "match_file", "match_record"],
        },
    )

__all__ = [
    "OURS",
    "RECORD",
    "Candidate",
    "CarriedHierarchy",
    "Claim",
    "Claims",
    "Decision",
    "Match",
    "MatchSources",
    "embedded_names",
    "embedded_parameters",
    "embedded_rules",
    "embedded_tree",
    "match_carried",
    "match_file",
    "match_record",
    "metadata_of",
    "read_carried_hierarchy",
    "read_inputs",
    "refuse_lossy",
]
