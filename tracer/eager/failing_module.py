"""In which module of a model an error happened."""

from traceback import walk_tb

from torch import nn


def failing_module(model: nn.Module, error: BaseException) -> str:
    """The path of the innermost module that was running; "" for the root, or when none was.

    Hooks cannot find it, because torch calls them while the error propagates. So the traceback is
    searched for methods of modules.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    running = ""
    for frame, _ in walk_tb(error.__traceback__):
        first = frame.f_code.co_varnames[:1]
        subject = frame.f_locals.get(first[0]) if first and frame.f_code.co_argcount else None
        running = paths.get(id(subject), running)
    return running
