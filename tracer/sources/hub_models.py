"""Models of the Hugging Face hub: from the cache where the hub cannot be reached.

Without a network, huggingface_hub tries for half a minute to get each file that the cache does
not have, also those that a model need not have. One attempt decides here.
"""

from pathlib import Path

from modelexport.errors import SourceError
from modelexport.support.error_texts import first_line
from modelexport.support.extras import require_extra

_CONFIG = "config.json"


def reachable_source(source: str, subject: str, remedy: str) -> str:
    """The source itself, if it is a folder or the hub has it; else its folder in the cache.

    Args:
        source: Folder or hub id.
        subject: What it is in the sentence of the error.
        remedy: A sentence that says what the user can do.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        SourceError: The hub cannot be reached, and the model is not in the cache.
    """
    if Path(source).is_dir():
        return source
    with require_extra("trace", "Loading Hugging Face models"):
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - heavy
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415 - heavy
    try:
        if _is_on_hub(source):
            return source
        problem = None
    except HFValidationError:
        return source  # no hub id: transformers says why
    except _UnreachableError as error:
        problem = str(error)
    cached = try_to_load_from_cache(source, _CONFIG)
    if isinstance(cached, str):
        return str(Path(cached).parent)
    if problem is None:
        return source  # transformers says what the hub answers
    raise SourceError(
        f"{subject} is neither a folder here nor in the cache of Hugging Face, and {problem}. "
        f"{remedy}"
    )


class _UnreachableError(Exception):
    """The hub cannot be reached; the text says why."""


def _is_on_hub(source: str) -> bool:
    """Whether the hub has the configuration of a model; one attempt.

    Raises:
        HFValidationError: The source is no hub id.
        _UnreachableError: The hub does not answer.
    """
    from huggingface_hub import (  # noqa: PLC0415 - heavy
        constants,
        errors,
        get_hf_file_metadata,
        hf_hub_url,
    )

    try:
        url = hf_hub_url(source, _CONFIG)
        metadata = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except (errors.HfHubHTTPError, errors.FileMetadataError):
        return False
    except errors.OfflineModeIsEnabled as error:
        raise _UnreachableError("HF_HUB_OFFLINE forbids to ask the hub") from error
    except errors.HFValidationError:
        raise
    except Exception as error:  # each version of huggingface_hub has its own network library
        reason = f"{constants.ENDPOINT} cannot be reached ({first_line(error)})"
        raise _UnreachableError(reason) from error
    return metadata.commit_hash is not None  # else something else answers, such as a proxy
