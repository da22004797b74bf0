"""Names of modules and of classes that are hard to write down."""

from collections.abc import Sequence

import torch
from torch import nn

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import Stage, rows


class Called(nn.Module):
    """A chain of children with given names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        for name in names:
            self.add_module(name, Stage())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for child in self.children():
            x = child(x)
        return x


@unexpected()
def unusual_names() -> Built:
    """Spaces, slashes, other alphabets, digits, escapes."""
    names = ["a b", "a/b", "a-b", "0", "日本", "ünï", "[0]", "%25", "::", "#1@2"]
    return Called(names), rows()


@unexpected(dynamo="it writes names into Python code as they are")
def names_outside_python() -> Built:
    """Words of Python, quotes, backslashes and line breaks."""
    return Called(["class", "it's", 'a"b', "back\\slash", "two\nlines", "tab\t"]), rows()


@unexpected()
def colliding_names() -> Built:
    """Names that are equal once their special characters are replaced or escaped."""
    return Called(["a/b", "a_b", "a b", "a%2Fb"]), rows()


@unexpected()
def class_without_name() -> Built:
    """A class whose name is empty."""
    nameless = type("", (Stage,), {})
    return nn.Sequential(nameless(), nameless()), rows()
