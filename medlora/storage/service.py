"""A connection to an object store, and its errors in our words.

Credentials, region, endpoint and certificates are found as the service's own tools find them; none
of their values is ever shown.  The libraries retry what is transient; the numbers bound them.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from medlora.errors import ConfigError, MedloraError, MissingPartError, StorageError
from medlora.runtime import allow_hosts, snapshot, variable
from medlora.storage.location import Location
from medlora.storage.service_hosts import service_hosts

ATTEMPTS = 3  # by each of the two layers that retry
_CONNECT_S, _READ_S = 10, 60
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of the disk here, not of the service
_LIBRARIES = {"botocore", "aiobotocore", "aiohttp", "google", "gcsfs", "s3fs", "fsspec", "requests"}
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "MetadataRetrievalError",
    "TokenRetrievalError",
    "NoAuthTokenError",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
    "DefaultCredentialsError",
    "RefreshError",
    "MalformedError",
}
_BAD_SETTINGS = {
    "ProfileNotFound": "AWS_PROFILE names a profile that is not there",
    "ConfigParseError": "AWS_CONFIG_FILE, or its default, cannot be read",
    "ConfigNotFound": "AWS_CONFIG_FILE names a file that is not there",
    "InvalidConfigError": "the profile in use is not complete",
}
_UNREACHABLE = {
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "HTTPClientError",
    "ReadTimeoutError",
    "ClientConnectorError",
    "ClientConnectorDNSError",
    "ConnectionError",
    "TransportError",
    "ServerDisconnectedError",
    "FSTimeoutError",
}
_ROLE = {
    "s3": "give the job a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "give the job a service account, or set GOOGLE_APPLICATION_CREDENTIALS to its key file",
}
_RIGHTS = {
    "s3": "allow s3:ListBucket on the bucket, s3:GetObject, s3:PutObject and s3:DeleteObject on "
    "what is below it",
    "gs": "give the account the role Storage Object User (roles/storage.objectUser)",
}
_NETWORK = {
    "s3": "let this machine reach the service (a VPC endpoint will do); AWS_ENDPOINT_URL names "
    "another than AWS's",
    "gs": "let this machine reach the service",
}


def connect(location: Location) -> Any:  # noqa: ANN401  (fsspec has no types)
    """Return the file system of a location's service; nothing is sent yet, but it may be.

    Raises:
        MissingPartError: the library for it is not installed.
    """
    allow_hosts(service_hosts(location.scheme, snapshot()))
    try:
        if location.scheme == "s3":
            return _s3()
        # Its subclass asks by gRPC of what kind a bucket is, a minute long where nobody answers.
        with variable("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"):
            from gcsfs import GCSFileSystem
    except ImportError as error:
        raise MissingPartError(
            f"{location}: the library for {location.service} does not load ({error})",
            fix="install medlora[cloud], or mount the bucket and name the folder",
        ) from error
    with service_errors(location, opening=True):
        # Never anonymous, never in a browser: the standard chain or nothing.
        return GCSFileSystem(
            token="google_default",  # noqa: S106  (the name of a way, no token)
            consistency="md5",
            use_listings_cache=False,
            skip_instance_cache=True,
        )


def _s3() -> Any:  # noqa: ANN401
    from s3fs import S3FileSystem

    service = S3FileSystem(
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"mode": "standard", "max_attempts": ATTEMPTS},
        },
    )
    service.retries = ATTEMPTS
    return service


@contextmanager
def service_errors(location: Location, *, opening: bool = False) -> Iterator[None]:
    """Turn what a service's library raises into one clear error.

    Args:
        location: what is used.
        opening: whether nothing was done yet; then a part is missing, and nobody needs a retry.

    Raises:
        MissingPartError: no credentials, no rights, nothing there, or no way to it, on opening.
        ConfigError: the service's own settings contradict themselves.
        StorageError: the same later, after the library's retries.
    """
    try:
        yield
    except MedloraError:
        raise
    except Exception as error:
        if not _is_theirs(error):
            raise
        raise _explained(error, location, opening=opening) from error


def _is_theirs(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return False
    if isinstance(error, OSError | TimeoutError):
        return True
    by_library = type(error).__module__.partition(".")[0] in _LIBRARIES
    return by_library or (isinstance(error, ValueError) and "endpoint" in str(error))


def _explained(error: Exception, location: Location, *, opening: bool) -> MedloraError:
    setting = _BAD_SETTINGS.get(type(error).__name__)
    if isinstance(error, ValueError):
        setting = "AWS_ENDPOINT_URL is not an address (http://HOST:PORT or https://HOST)"
    if setting:
        return ConfigError(f"{location}: {setting}", fix="correct it, or unset it")
    missing = _missing(error, location)
    if missing:
        kind = MissingPartError if opening else StorageError
        return kind(f"{location}: {missing[0]}", fix=missing[1])
    return StorageError(
        f"{location}: {location.service} failed ({_code(error)})",
        fix="run it again: files that are complete already, on this machine or in the store, "
        "are reused",
    )


def _missing(error: Exception, location: Location) -> tuple[str, str] | None:
    """Return what is missing, and how to get it; None where it is something else."""
    name, code, scheme = type(error).__name__, _code(error), location.scheme
    if name in _NO_CREDENTIALS:
        return f"no credentials for {location.service} were found ({name})", _ROLE[scheme]
    if isinstance(error, PermissionError) or code in {"401", "403"} or "Forbidden" in str(error):
        return f"access is refused ({code})", _RIGHTS[scheme]
    if isinstance(error, FileNotFoundError):
        return f"not there ({code})", "correct the name, or create the bucket"
    if name in _UNREACHABLE or isinstance(error, ConnectionError | TimeoutError):
        return f"{location.service} cannot be reached ({name})", _NETWORK[scheme]
    return None


def _code(error: BaseException) -> str:
    """Return the service's word or number for an error, never its message."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", type(error).__name__))
    return str(getattr(error, "code", None) or type(error).__name__)
