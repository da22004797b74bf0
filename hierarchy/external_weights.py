"""The separate file of weights of a traced model that is too large for one file."""

from pathlib import Path

from modelexport.errors import FileProblem


def external_weights_path(model_path: Path) -> Path:
    """Path of a model's file of weights: in the same folder, with `.data` added to its name."""
    return model_path.parent / f"{model_path.name}.data"


def refuse_existing_weights(model_path: Path) -> None:
    """Refuse to write a model without values when a file of weights of its name exists.

    Raises:
        FileProblem: There is such a file.
    """
    path = external_weights_path(model_path)
    if path.exists():
        raise FileProblem(
            f"{path}: it exists, and {model_path.name} would read its weights from it, which have "
            "no values. Remove it, or choose another name."
        )
