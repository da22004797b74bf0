"""What a field of a configuration counts or measures, by the words in its name.

The words are those of the fields that transformers documents for all configurations (`ConfigArgs`
of `transformers.utils.auto_docstring`), and a few that the configurations of several families
share; a test holds each of them to that. A word from the fields of a single family has no place
here: such a model is built larger, or its own error says what it needs (`settings.py`).
"""

import re
from enum import StrEnum


class Role(StrEnum):
    """What a whole number in a configuration is."""

    LAYERS = "layers"
    HEADS = "heads"
    HEAD_WIDTH = "head width"
    WIDTH = "width"
    VOCABULARY = "vocabulary"
    TOKEN = "token"  # noqa: S105 - of a vocabulary
    POSITIONS = "positions"
    EXPERTS = "experts"
    EXPERT_GROUPS = "groups of experts"
    CHOSEN = "chosen experts"
    QUERIES = "queries"
    FRAMES = "frames"
    IMAGE = "image"
    OTHER = "other"


WORDS: tuple[tuple[Role, tuple[str, ...]], ...] = (
    (Role.TOKEN, (r"(^|_)tokens?_(id|ids|index)$",)),
    (Role.FRAMES, (r"^num_frames$",)),
    (Role.EXPERT_GROUPS, (r"(^|_)n_groups?$", r"(topk|expert)_group")),
    (Role.VOCABULARY, (r"vocab(ulary)?(_?size)?$",)),
    (
        Role.OTHER,
        ("kernel", "patch", "window", "group", "pool", "ratio", "norm", r"^input_size$"),
    ),
    (Role.CHOSEN, ("experts_per_tok", "top_?k")),
    (Role.EXPERTS, (r"(num|n)_.*experts?$", r"^num_experts")),
    (
        Role.HEAD_WIDTH,
        ("head_?dim", "head_size", "d_head", "d_kv", "dim_head", "rotary_dim"),
    ),
    (Role.HEADS, (r"heads?$", r"(^|_)heads?_")),
    (Role.QUERIES, ("num_(queries|denoising|points)",)),
    (Role.LAYERS, (r"(^|_)(layers?|blocks?|depths?)$",)),
    (Role.POSITIONS, (r"positions?(_embeddings)?$", "max_length")),
    (Role.IMAGE, (r"^(image|crop)_size$",)),
    (
        Role.WIDTH,
        (
            *(r"(^|_)d_[a-z]+$", "size", "dims?", "width", "channels?", "features", "ffn"),
            *("filters", "n_embd", "rank", "embed"),
        ),
    ),
)
"""The words of each role as regular expressions; the first that fits counts. Those of `Role.OTHER`
stand before sizes: the size of a kernel is no width."""

_PATTERNS = tuple((role, re.compile("|".join(words))) for role, words in WORDS)


def role_of(name: str) -> Role:
    """The role of a field.

    Args:
        name: The name of the field, in lower case with underscores.
    """
    return next((role for role, pattern in _PATTERNS if pattern.search(name)), Role.OTHER)
