"""Whether there is a folder for temporary files, told before a library ends over it."""

import os
import tempfile

from medlora.errors import StorageError


def check_temporary() -> None:
    """Refuse a place without a folder for temporary files, which torch needs to be imported.

    Raises:
        StorageError: neither TMPDIR nor /tmp can be written.
    """
    try:
        tempfile.gettempdir()  # writes a file in each candidate until one takes it
    except FileNotFoundError:
        named = os.environ.get("TMPDIR")
        places = f"{named} (TMPDIR) and /tmp" if named else "/tmp"  # noqa: S108  (named, not used)
        raise StorageError(
            f"{places} cannot be written by uid {os.getuid()}, or is full: no folder for temporary "
            "files",
            fix="start the container with --tmpfs /tmp:mode=1777 (Kubernetes: mount an emptyDir at "
            "/tmp), or set TMPDIR to a folder that this user may write",
        ) from None
