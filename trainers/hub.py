"""Files of a repository on the Hugging Face hub, from its local cache first."""

from collections.abc import Sequence
from pathlib import Path


def fetch(name: str, wanted: Sequence[str]) -> Path:
    """The folder with those files (patterns) of OWNER/NAME, or of one revision of it, OWNER/NAME@REVISION; the network is used only for what is not here yet.

    Raises ValueError where it cannot be such a name, where there is none, and where the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        try:
            return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(wanted), local_files_only=True))
        except LocalEntryNotFoundError:
            return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(wanted)))
    except HFValidationError:
        raise ValueError(f"there is no folder or file {name}, and it cannot be a name on the hub (OWNER/NAME)") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"there is no folder {name}, and the hub gives nothing under that name: {why}") from error
