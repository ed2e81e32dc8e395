"""A disk that holds, after a power cut, no more than it has to.

What was flushed is there. Of everything since, any sector of 512 bytes may be there or not, in any version that it
had; any size that a file had; any entry of the folder. A flush that failed has thrown away what it should have
written, though the system goes on reading it from its memory: later flushes do not bring it back.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.disk.recording import Create, Operation, Resize, Sync, Unlink, Write
from tests.disk.workload import FILE

SECTOR = 512
PAGE = 4_096
"""What the system keeps in memory and flushes as one."""


class File:
    """A file as the system's memory has it, and as the disk has it."""

    def __init__(self) -> None:
        self.cached = bytearray()
        self.durable = bytearray()
        self.versions: dict[int, list[bytes]] = {}
        self.sizes: list[int] = []

    @classmethod
    def of(cls, content: bytes) -> File:
        """A file that has been on the disk for long."""
        file = cls()
        file.cached, file.durable = bytearray(content), bytearray(content)
        return file

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(self.cached):
            self._resize(end)
        self.cached[offset:end] = data
        for page in range(offset // PAGE, (end - 1) // PAGE + 1):
            self.versions.setdefault(page, []).append(_page(self.cached, page))

    def resize(self, size: int) -> None:
        self._resize(size)

    def flush(self) -> None:
        """Bring to the disk what is dirty: not what a failed flush has thrown away."""
        _fit(self.durable, len(self.cached))
        for page in self.versions:
            start = page * PAGE
            self.durable[start : start + PAGE] = self.cached[start : start + PAGE]
        self._clean()

    def lose(self, chance: Random) -> None:
        """A flush failed: some of it may have reached the disk, and nothing is dirty any more."""
        self.durable = bytearray(self.image(chance))
        self._clean()

    def image(self, chance: Random) -> bytes:
        """One of the contents that the disk may hold now."""
        image = bytearray(self.durable)
        size = chance.choice([len(self.durable), *self.sizes, len(self.cached)])
        _fit(image, max(size, len(image)))
        pick = _picking(chance)
        for page, versions in self.versions.items():
            for offset in range(page * PAGE, page * PAGE + PAGE, SECTOR):
                version = pick(len(versions))
                if version is not None and offset < len(image):
                    end = min(offset + SECTOR, len(image))
                    start = offset - page * PAGE
                    image[offset:end] = versions[version][start : start + end - offset]
        _fit(image, size)
        return bytes(image)

    def _resize(self, size: int) -> None:
        _fit(self.cached, size)
        self.sizes.append(size)

    def _clean(self) -> None:
        self.versions.clear()
        self.sizes.clear()


class Disk:
    """The files of one folder."""

    def __init__(self, chance: Random, folder: Path | None = None) -> None:
        there = [] if folder is None else [path for path in folder.iterdir() if not path.name.endswith("-shm")]
        self.cached = {path.name: File.of(path.read_bytes()) for path in there}
        self.durable = dict(self.cached)
        self.changes: list[tuple[str, File | None]] = []
        self._chance = chance

    def do(self, operation: Operation) -> None:
        """Let the system do this."""
        match operation:
            case Create(name):
                if name not in self.cached:
                    self._enter(name, File())
            case Unlink(name):
                self._enter(name, None)
            case Write() | Resize() | Sync():
                self._do_to_file(operation)

    def _do_to_file(self, operation: Write | Resize | Sync) -> None:
        match operation:
            case Write("") | Resize("") | Sync(""):
                pass  # a file that has been deleted
            case Write(name, offset, data):
                self.cached[name].write(offset, data)
            case Resize(name, size):
                self.cached[name].resize(size)
            case Sync(".", ok):
                if ok:
                    self.durable = dict(self.cached)
                    self.changes.clear()
            case Sync(name, ok):
                file = self.cached[name]
                file.flush() if ok else file.lose(self._chance)

    def cut(self, folder: Path, chance: Random) -> None:
        """Write into an empty folder what the disk may hold when the power goes now."""
        entries = dict(self.durable)
        pick = _picking(chance)
        for name, file in self.changes:
            if pick(1) is not None:
                _put(entries, name, file)
        for name, file in entries.items():
            (folder / name).write_bytes(file.image(chance))
        if chance.random() < 0.2:
            # What processes share in memory is a file too, and nobody flushes it.
            (folder / f"{FILE}-shm").write_bytes(chance.randbytes(32_768))

    @property
    def unflushed(self) -> set[str]:
        """The files of which something is not on the disk yet; "." when an entry is not."""
        dirty = {name for name, file in self.cached.items() if file.versions or file.sizes}
        return dirty | ({"."} if self.changes else set())

    def _enter(self, name: str, file: File | None) -> None:
        _put(self.cached, name, file)
        self.changes.append((name, file))


def _put(entries: dict[str, File], name: str, file: File | None) -> None:
    if file is None:
        entries.pop(name, None)
    else:
        entries[name] = file


def _picking(chance: Random) -> Callable[[int], int | None]:
    """How this disk chooses the version of each sector: nothing new, all that is new, or anything."""
    share = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])

    def pick(versions: int) -> int | None:
        if chance.random() >= share:
            return None
        return versions - 1 if share == 1.0 else chance.randrange(versions)

    return pick


def _fit(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _page(content: bytearray, page: int) -> bytes:
    return bytes(content[page * PAGE : page * PAGE + PAGE]).ljust(PAGE, b"\0")
