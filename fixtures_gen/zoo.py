"""Every fixture, by name.

Each factory takes nothing and gives a module in eval mode and its inputs, so it is a source
for `modelexport trace` as it stands: `fixtures_gen.zoo:bert`.
"""

from fixtures_gen.control_flow_zoo import (
    conditional,
    nested_conditional,
    scanned,
    while_loop,
)
from fixtures_gen.registry import FIXTURES, Fixture
from fixtures_gen.torch_zoo import (
    called_twice,
    conv_batchnorm,
    helper_functions,
    lstm_stack,
    module_containers,
    nested_sequential,
    no_parameters,
    odd_names,
    recurrent,
    root_sequential,
    scripted_branch,
    scripted_loop,
    shared_module,
    suffixed_names,
    tied_weights,
    unet,
)
from fixtures_gen.transformers_zoo import (
    bert,
    clip,
    gemma3,
    gpt2,
    llama,
    mixtral,
    resnet,
    t5,
    vit,
    whisper,
)

__all__ = [
    "FIXTURES",
    "Fixture",
    "bert",
    "called_twice",
    "clip",
    "conditional",
    "conv_batchnorm",
    "gemma3",
    "gpt2",
    "helper_functions",
    "llama",
    "lstm_stack",
    "mixtral",
    "module_containers",
    "nested_conditional",
    "nested_sequential",
    "no_parameters",
    "odd_names",
    "recurrent",
    "resnet",
    "root_sequential",
    "scanned",
    "scripted_branch",
    "scripted_loop",
    "shared_module",
    "suffixed_names",
    "t5",
    "tied_weights",
    "unet",
    "vit",
    "while_loop",
    "whisper",
]
