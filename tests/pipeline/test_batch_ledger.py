"""What the ledger knows of a job whose files were being moved when the run was killed."""

from pathlib import Path

import pytest

from modelexport.pipeline.batch import load_plan
from modelexport.pipeline.batch.ledger import Ledger
from modelexport.pipeline.batch.outcome import Outcome, State
from tests.helpers.batching import write_plan, write_sources

PLAN = '[[models]]\nonnx = "plain.onnx"\nrecord = "plain.trace.json"\n'


def test_a_run_killed_between_two_files_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that has its name already is the job's own: the job is done again, not refused."""
    plan = load_plan(write_plan(write_sources(tmp_path), PLAN))
    (job,) = plan.jobs
    ledger = Ledger(plan.out, plan.folder)
    (first, *_) = job.outputs()
    with ledger.open():
        scratch = ledger.make_scratch(job, "run")
        for name in (first, f"z{first}"):
            (scratch / name).write_bytes(b"whole")
        move = Path.replace

        def killed_at_the_second(self: Path, target: Path) -> Path:
            if self.name == f"z{first}":
                raise KeyboardInterrupt
            return move(self, target)

        monkeypatch.setattr(Path, "replace", killed_at_the_second)
        outcome = Outcome(State.DONE, files={first: "digest", f"z{first}": "digest"})
        with pytest.raises(KeyboardInterrupt):
            ledger.commit(job, outcome, scratch)
    assert (plan.out / first).exists()
    ledger.check_targets(job, resume=True, force=False)
    assert ledger.reason_to_do(job) == "ended with stopped"
