"""What a field of a configuration counts or measures, as the words in its name say.

The words are those of transformers' own fields (`ConfigArgs` of its docstrings). No model is known
here: a field of a new model gets its role in the same manner.
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
    SECTION = "part of a head's width"
    EXPERT_GROUPS = "groups of experts"
    CHOSEN = "chosen experts"
    QUERIES = "queries"
    FRAMES = "frames"
    IMAGE = "image"
    OTHER = "other"


_PATTERNS: tuple[tuple[Role, str], ...] = (
    (Role.TOKEN, r"(^|_)(token|tokens)_(id|ids|index)$|_(start|end)_token$"),
    (Role.SECTION, r"section"),
    (Role.FRAMES, r"^num_frames$|frames_per_clip"),
    (Role.EXPERT_GROUPS, r"(^|_)n_groups?$|topk_group|expert_group"),
    (Role.VOCABULARY, r"vocab$"),
    (Role.OTHER, r"(kernel|stride|patch|window|group|pool|ratio|norm|mel|rate|labels|factor)"),
    (Role.CHOSEN, r"(experts_per_tok|top_?k|moe_k)"),
    (Role.EXPERTS, r"(num|n)_.*experts?$|^num_experts"),
    (Role.VOCABULARY, r"vocab(ulary)?(_?size)?|vocab_size"),
    (
        Role.HEAD_WIDTH,
        r"head_?dim|head_size|d_head|d_kv|kv_channels|dim_head|_per_head|rope_dim|rotary_dim",
    ),
    (Role.HEADS, r"heads?$|(^|_)heads?_|num_key_value|nhead|n_head"),
    (Role.QUERIES, r"(num|n)_(object_)?queries|query_length|num_denoising|num_latents|num_points"),
    (Role.LAYERS, r"(^|_)(layers?|blocks?|depths?|stages_depth)$|(^|_)n_layers?|num_.*layers?"),
    (Role.POSITIONS, r"positions?(_embeddings)?$|max_seq|n_ctx|context_length_max|max_length"),
    (Role.IMAGE, r"^(image|img|input|crop)_(size|height|width)$|^input_size$"),
    (
        Role.WIDTH,
        (
            r"((^|_)d_[a-z]+$|size|sizes|dims?|hidden|width|widths|channels?|features|d_model|d_ff|ffn|filters|"
            r"d_inner|inner|n_embd|rank|state|planes|conv_dim|units|bottleneck|embed)"
        ),
    ),
)


def role_of(name: str) -> Role:
    """The role of a field.

    Args:
        name: The name of the field, in lower case with underscores.
    """
    return next((role for role, pattern in _PATTERNS if re.search(pattern, name)), Role.OTHER)
