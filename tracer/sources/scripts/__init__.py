"""Models that torch compiled to TorchScript, and have no Python code any more.

Hooks do not reach inside of a script. So a script is *interpreted*: a tree of plain modules with
the same names, classes and tensors runs the script's own graphs, operator by operator, and is
observed and exported as any other model.
"""

from modelexport.tracer.sources.scripts.interpreted import interpret
from modelexport.tracer.sources.scripts.script_files import load_script

__all__ = ["interpret", "load_script"]
