"""Where something is in an object store: s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from medlora.errors import ConfigError
from medlora.files import sha256_bytes

SERVICES = {"s3": "S3", "gs": "Cloud Storage"}
_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Location:
    """A folder, or one object, in a bucket; `path` begins with the bucket."""

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> "Location":
        return Location(self.scheme, f"{self.path}/{name}")

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the path, which a local copy is called by."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> "Location":
        """The folder that this one is in, the bucket at last."""
        return Location(self.scheme, self.path.rpartition("/")[0] or self.path)

    @property
    def service(self) -> str:
        """What people call the service."""
        return SERVICES[self.scheme]

    @property
    def key(self) -> str:
        """A short name that no other location has."""
        return sha256_bytes(str(self).encode())[:_KEY_DIGITS]


def is_location(value: object) -> bool:
    """Tell whether a value is a URL instead of a path."""
    return isinstance(value, str) and "://" in value


def parse(value: str, source: str) -> Location:
    """Return the location that a URL names.

    Args:
        value: the URL.  It is not shown: somebody may have put a password into it.
        source: where it comes from.

    Raises:
        ConfigError: it is no folder in a bucket of a service that we know.
    """
    scheme, _, rest = value.strip().partition("://")
    parts = PurePosixPath(rest).parts
    odd = any(sign in rest for sign in "@?#*") or ".." in parts or rest.startswith("/")
    if scheme not in SERVICES or not parts or odd:
        kind = f"a {scheme}:// location" if scheme.isalnum() else "another text"
        raise ConfigError(
            f"{source}: must be s3://BUCKET/FOLDER or gs://BUCKET/FOLDER (got {kind})",
            fix="name only bucket and folder; credentials come from the service's own "
            "variables and files",
        )
    return Location(scheme, "/".join(parts))
