"""The results of comparing weights."""

import msgspec


class ChangedWeight(msgspec.Struct, frozen=True):
    """A weight that is not that of the reference, rounded.

    Attributes:
        tag: Tag of the module that reads it.
        weight: Its name in the file.
        reference: Its name in the reference: an initializer, or a parameter in torch.
        relative: Norm of the difference over the norm of the reference.
        position: Position in the main graph of the first node that reads it.
        steps: Greatest difference of an element, in the steps in which the file stores numbers;
            rounding is 0.5 or less. None where the file stores them as the reference does.
    """

    tag: str
    weight: str
    reference: str
    relative: float
    position: int
    steps: float | None
