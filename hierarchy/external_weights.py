"""The file beside a traced model that holds its weights, where one file cannot."""

from pathlib import Path

from modelexport.errors import FileProblem


def external_weights_path(model_path: Path) -> Path:
    """The file for the weights of a model: beside it, with `.data` behind its name."""
    return model_path.with_name(f"{model_path.name}.data")


def refuse_existing_weights(model_path: Path) -> None:
    """Refuse to write a model without values beside a file that it would read them from.

    Raises:
        FileProblem: There is such a file.
    """
    path = external_weights_path(model_path)
    if path.exists():
        raise FileProblem(
            f"{path}: it exists, and {model_path.name} would read its weights from it, which have "
            "no values. Remove it, or choose another name."
        )
