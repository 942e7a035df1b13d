"""Which hosts an object store's own tools talk to: what may be reached once a URL was given."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from medlora.runtime import Environment

# A name that begins with a dot stands for all that end so.  The addresses are the link-local ones
# at which a machine, a container or a pod asks for the credentials of its role.
_HOSTS = {
    "s3": (
        *(".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".awsapps.com"),
        *("169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"),
    ),
    "gs": (".googleapis.com", "metadata.google.internal", "169.254.169.254"),
}
_VARIABLES = {
    "s3": (
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_STS",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ),
    "gs": ("STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"),
}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def service_hosts(scheme: str, environment: Environment) -> list[str]:
    """Return the hosts of a service: its own, those that variables and files name, and proxies.

    Args:
        scheme: `s3` or `gs`.
        environment: where we are.
    """
    names = (*_VARIABLES[scheme], *_PROXIES, *map(str.lower, _PROXIES))
    urls = [stated.value for name in names if (stated := environment.text(name))]
    if scheme == "s3":
        urls += _configured(environment)
    return [*_HOSTS[scheme], *filter(None, map(_host, urls))]


def _configured(environment: Environment) -> list[str]:
    """Return the endpoints that AWS's config file names, for any profile."""
    home, stated = environment.text("HOME"), environment.text("AWS_CONFIG_FILE")
    file = Path(stated.value) if stated else Path(home.value if home else "/") / ".aws/config"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return re.findall(r"endpoint_url\s*=\s*(\S+)", text)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None
