"""Modules that torch wraps or compiles."""

from typing import cast

import torch
from torch import fx, nn

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import Stage, rows

COMPILED = "TorchScript cannot trace what torch.compile made"


@unexpected(torchscript="it refuses nn.DataParallel")
def data_parallel() -> Built:
    """`nn.DataParallel` around the model."""
    return nn.DataParallel(nn.Sequential(Stage(), Stage())), rows()


@unexpected(torchscript=COMPILED)
def compiled_module() -> Built:
    """`torch.compile` around one module."""
    first = cast(nn.Module, torch.compile(Stage()))
    return nn.Sequential(first, Stage()), rows()


@unexpected()
def symbolically_traced() -> Built:
    """A module that torch.fx wrote."""
    return nn.Sequential(fx.symbolic_trace(nn.Sequential(Stage(), Stage())), Stage()), rows()


@unexpected(torchscript=COMPILED)
def compiled_in_place() -> Built:
    """`module.compile()`."""
    first = Stage()
    first.compile()
    return nn.Sequential(first, Stage()), rows()


@unexpected(torchscript=COMPILED)
def compiled_model() -> Built:
    """`torch.compile` around the model."""
    return cast(nn.Module, torch.compile(nn.Sequential(Stage(), Stage()))), rows()


@unexpected(torchscript="it cannot trace a traced module")
def traced_module() -> Built:
    """`torch.jit.trace` of one module."""
    traced = torch.jit.trace(Stage(), rows())  # type: ignore[no-untyped-call]
    return nn.Sequential(traced, Stage()), rows()


SCRIPTED = "torch's tracers cannot enter a scripted module that is called with one input"


@unexpected(dynamo=SCRIPTED, torchscript=SCRIPTED)
def scripted_module() -> Built:
    """`torch.jit.script` of one module."""
    return nn.Sequential(torch.jit.script(Stage()), Stage()), rows()
