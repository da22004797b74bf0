"""The table of trials."""

from collections.abc import Iterator, Sequence

from weight_changes.trials import SIDES, Trial


def table(trials: Sequence[Trial]) -> Iterator[str]:
    """The lines of a table in markdown: a row for each form of each model."""
    yield "| model | form | " + " | ".join(SIDES) + " |"
    yield "|---" * (2 + len(SIDES)) + "|"
    cases = dict.fromkeys((trial.model, trial.form) for trial in trials)
    for model, form in cases:
        own = [trial for trial in trials if (trial.model, trial.form) == (model, form)]
        cells = [
            _cell([trial.right[side] for trial in own if side in trial.right]) for side in SIDES
        ]
        yield f"| {model} | {form} | {' | '.join(cells)} |"


def _cell(right: Sequence[bool]) -> str:
    return f"{sum(right)} of {len(right)}" if right else ""
