"""The system calls that change a disk, one a method: the seam where tests inject faults."""

import os
from pathlib import Path


class Disk:
    """Every change to the disk goes through `disk`, so that a test can fail or record any one."""

    def create(self, path: Path, content: bytes) -> None:
        """Make a new file with this content."""
        with path.open("xb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]

    def append(self, path: Path, content: bytes) -> None:
        """Add to the end of a file, making it if needed."""
        with path.open("ab", buffering=0) as file:
            view = memoryview(content)
            while view:  # a disk that runs full takes a part first, and refuses the rest
                view = view[file.write(view) :]

    def sync(self, path: Path) -> None:
        """Wait until a file's content, or a folder's list of names, is on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def mkdir(self, path: Path) -> None:
        """Make a folder."""
        path.mkdir()

    def chmod(self, path: Path, mode: int) -> None:
        """Set a file's rights."""
        path.chmod(mode)

    def symlink(self, path: Path, target: str) -> None:
        """Make a symbolic link."""
        path.symlink_to(target)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Delete a file."""
        path.unlink(missing_ok=True)

    def rmdir(self, path: Path) -> None:
        """Delete an empty folder."""
        path.rmdir()


disk = Disk()
