"""Files that a command will write, looked at before the work is done."""

from collections.abc import Sequence
from pathlib import Path


def check_writable(out: Path, endings: Sequence[str]) -> None:
    """ValueError, in one sentence, unless a file of that name and one of the endings can be written; tried with an empty file beside it, which is taken away again."""
    if out.suffix.lower() not in endings:
        raise ValueError(f"--out {out} must end in {', '.join(endings)}")
    trial = beside(out)
    try:
        if out.is_dir():
            raise ValueError(f"--out {out} is a folder; name a file in it")
        if not out.absolute().parent.is_dir():
            raise ValueError(f"--out {out}: the folder {out.parent} does not exist")
        trial.touch()
        trial.unlink()
        if out.exists():
            out.open("ab").close()
    except OSError as error:
        raise ValueError(f"--out {out} cannot be written: {error.strerror}; choose another place") from error


def beside(out: Path) -> Path:
    """The temporary name under which a file is written before it takes its own, so that what stands at `out` is always whole."""
    return out.with_name(f".{out.name}.partial")
