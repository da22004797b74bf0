"""Steps of long work reach whoever listens in the same thread."""

from modelexport.support.progress import report_step, reporting_steps_to


def test_steps_reach_the_innermost_listener() -> None:
    """Inside the body only, and the outer listener comes back after an inner one."""
    steps: list[str] = []
    report_step("before")
    with reporting_steps_to(steps.append):
        report_step("one")
        with reporting_steps_to(lambda step: steps.append(f"inner {step}")):
            report_step("two")
        report_step("three")
    report_step("after")
    assert steps == ["one", "inner two", "three"]
