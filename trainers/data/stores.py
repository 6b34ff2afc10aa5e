"""Where picture files lie: a folder, or a tar that is read in place and never unpacked. Either is listed once; files are read by name."""

import hashlib
import os
import tarfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainers.bars import QUIET, track
from trainers.data.pictures import ENDINGS

PACKED = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".gz", ".rar", ".7z")


class Store(ABC):
    """Files by their path within, "/" between folders, in sorted order, with their sizes in bytes. Hidden files are left out."""

    def __init__(self, source: Path, files: Iterable[tuple[str, int]]) -> None:
        self.source = source
        self.files = dict(sorted(track(files, None, f"listing {source.name}", "files", wait=QUIET, leave=False)))

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The contents of one file; safe to call from several threads."""

    def under(self, folder: str) -> list[str]:
        """The files below a folder, at any depth; "" for all."""
        return [name for name in self.files if name.startswith(f"{folder}/")] if folder else list(self.files)

    def folders(self) -> list[str]:
        """The folders at the top."""
        return sorted({name.split("/", 1)[0] for name in self.files if "/" in name})


def is_picture(name: str) -> bool:
    """By the file's ending."""
    return name.lower().endswith(ENDINGS)


def hidden(name: str) -> bool:
    """Left by systems beside the files that were meant: .DS_Store, ._0001.jpg, __MACOSX/."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class Folder(Store):
    """A folder on the disk; links to folders are followed, once each."""

    def __init__(self, source: Path) -> None:
        super().__init__(source, _walk(source))

    def read(self, name: str) -> bytes:
        return (self.source / name).read_bytes()


def _walk(source: Path) -> Iterator[tuple[str, int]]:
    seen, todo = set(), [(source, "")]
    while todo:
        folder, name = todo.pop()
        at = os.stat(folder)
        if at.st_ino and (at.st_dev, at.st_ino) in seen:  # a link back up
            continue
        seen.add((at.st_dev, at.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if hidden(entry.name):
                    continue
                if entry.is_dir():
                    todo.append((Path(entry.path), f"{name}{entry.name}/"))
                elif entry.is_file():
                    yield f"{name}{entry.name}", entry.stat().st_size
                elif entry.is_symlink():  # it leads nowhere: listed, and found broken when it is read
                    yield f"{name}{entry.name}", 0


class Tar(Store):
    """An uncompressed tar, read where it lies. Raises ValueError where it is compressed, cut off or holds tars instead of pictures."""

    def __init__(self, source: Path) -> None:
        self._place: dict[str, int] = {}
        super().__init__(source, self._members(source))
        inner = [name for name in self.files if name.endswith(".tar")]
        if inner and not any(map(is_picture, self.files)):
            raise ValueError(
                f"{source} is a tar of {len(inner)} tars ({inner[0]}, ...); unpack it once, each inner tar into a folder named after it"
            )
        self._file = source.open("rb")
        self._lock = threading.Lock()

    def _members(self, source: Path) -> Iterator[tuple[str, int]]:
        end = 0
        try:
            with tarfile.open(source, "r:") as archive:
                for member in archive:
                    name = member.name.removeprefix("./")
                    end = -(-(member.offset_data + (member.size if member.isreg() else 0)) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                    if member.isreg() and not hidden(name):
                        self._place[name] = member.offset_data
                        yield name, member.size
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise ValueError(f"{source} is damaged or no uncompressed tar: {error}") from error
        with source.open(
            "rb"
        ) as file:  # tarfile takes rubbish where a header should be, and the end of a file cut off, for the end of the archive
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise ValueError(f"{source} is damaged: it is cut off or overwritten at byte {end:,}; fetch it again")

    def read(self, name: str) -> bytes:
        with self._lock:
            self._file.seek(self._place[name])
            return self._file.read(self.files[name])


def open_store(path: Path) -> Store:
    """The folder or the tar at `path`. Raises ValueError where there is neither."""
    if not path.exists():
        raise ValueError(f"{path} is not there")
    if path.is_dir():
        return Folder(path)
    name = path.name.lower()
    if name.endswith(".tar"):
        return Tar(path)
    if name.endswith(PACKED):
        raise ValueError(f"{path} is compressed, and its files cannot be read in place; unpack it, or make it an uncompressed .tar")
    raise ValueError(f"{path} is neither a folder nor a .tar")


def hash_of(parts: Iterable[object]) -> str:
    """sha256 over values in order; what a reader's fingerprint is made with."""
    found = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, bytes) else str(part).encode()
        found.update(len(text).to_bytes(8, "little") + text)
    return found.hexdigest()
