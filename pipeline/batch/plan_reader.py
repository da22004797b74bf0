"""Reading a plan: a TOML, YAML or JSON file in, a typed plan out. Errors name the key."""

from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import PlanError
from modelexport.pipeline.batch.plan import Plan
from modelexport.support.decode_errors import explain_decode_error
from modelexport.support.settings import read_settings


def read_plan(path: Path) -> tuple[Plan, dict[str, Any]]:
    """Read a plan.

    Returns:
        The plan, and the plan as it was written, to see which keys were left out.

    Raises:
        SettingsError: The file cannot be read.
        PlanError: The plan does not follow the schema.
    """
    raw = read_settings(path, dict[str, Any])
    try:
        return msgspec.convert(raw, Plan, str_keys=True), raw
    except msgspec.ValidationError as error:
        reason = explain_decode_error(error, type_=Plan, data=raw)
        raise PlanError(f"{path}: {reason}.") from error
