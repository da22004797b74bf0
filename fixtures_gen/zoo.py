"""Every fixture, by name.

Each factory takes no arguments, and returns a module in eval mode and its inputs. So it is a
source for `modelexport trace` as it is: `fixtures_gen.zoo:bert`.
"""

# Fixtures are registered in the order of these imports, and tables list them in this order.
# isort: off
from fixtures_gen.registry import FIXTURES, Fixture
from fixtures_gen.torch_zoo import (
    called_twice,
    helper_functions,
    module_containers,
    nested_sequential,
    no_parameters,
    odd_names,
    root_sequential,
    shared_module,
    suffixed_names,
    tied_weights,
)
from fixtures_gen.layer_zoo import conv_batchnorm, lstm_stack, recurrent, unet
from fixtures_gen.script_zoo import scripted_branch, scripted_loop
from fixtures_gen.control_flow_zoo import (
    conditional,
    nested_conditional,
    scanned,
    while_loop,
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
# isort: on

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
