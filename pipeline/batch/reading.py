"""Reading a plan: TOML (or YAML or JSON) in, typed plan out, and errors that point at the key."""

from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import PlanError
from modelexport.pipeline.batch.plan import Plan
from modelexport.support.decode_errors import explain_decode_error
from modelexport.support.settings import read_settings


def read_plan(path: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan of a file, typed, and as it was written (to tell what was left out).

    Raises:
        SettingsError: It cannot be read.
        PlanError: It does not follow the schema.
    """
    raw = read_settings(path, dict[str, Any])
    try:
        return msgspec.convert(raw, Plan, str_keys=True), raw
    except msgspec.ValidationError as error:
        reason = explain_decode_error(error, type_=Plan, data=raw)
        raise PlanError(f"{path}: {reason}.") from error
