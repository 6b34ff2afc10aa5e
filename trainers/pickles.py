"""Files that begin like a pickle, by whatever name they go: loading one can run any code, so none is ever loaded here."""

import zipfile
from pathlib import Path

PROTOCOLS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or a zip with one in it, which is what torch.save writes. Nothing is unpickled to find out."""
    with path.open("rb") as file:
        begins = file.read(9)
    if begins.startswith(PROTOCOLS):
        # safetensors: the length of a header, eight bytes, and the header's first brace; a length of 640 begins like protocol 2
        return not (begins[8:] == b"{" and 8 + int.from_bytes(begins[:8], "little") <= path.stat().st_size)
    if begins[:4] != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except zipfile.BadZipFile:  # cut short, and so without its list of contents; torch.save's first entry tells
        with path.open("rb") as file:
            return b".pkl" in file.read(256)


def refuse_pickle(path: Path, cure: str) -> None:
    """Raises ValueError with the cure where a file that should be safetensors is a pickle."""
    if is_pickle(path):
        raise ValueError(f"{path} is a pickle, which can run code when it is loaded, and is never loaded here; {cure}")
