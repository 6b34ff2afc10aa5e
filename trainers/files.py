"""Files that are either whole or not there: written under a temporary name beside, flushed to the disk, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

UMASK = os.umask(0)
os.umask(UMASK)


def beside(path: Path) -> Path:
    """The temporary name under which this process makes a file or folder before it takes its own; hidden, and never read."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def is_partial(path: Path) -> bool:
    """Whether this is the temporary name of a file or folder that some process was making."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` make a file or a folder under a temporary name, syncs it, and renames it to `path`. Whatever goes wrong, nothing half-written stays.

    A file at `path` is replaced; a folder must not be there yet. Raises what `write` raises; an OSError where the disk is full.
    """
    partial = beside(path)
    remove(partial)
    try:
        write(partial)
        for each in [*partial.rglob("*"), partial] if partial.is_dir() else [partial]:
            each.chmod(0o777 & ~UMASK if each.is_dir() else 0o666 & ~UMASK)  # safetensors makes files that nobody else may read
            sync(each)
        partial.replace(path)
    except BaseException:
        remove(partial)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Has the system write a file, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and keeps their entries by itself
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Takes away a file or a whole folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """One JSON document, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """A JSON document. Raises ValueError naming the file where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def sha256_of(path: Path) -> str:
    """Of a file's contents, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
