"""What a URL opens: the service's hosts, those that are named for it, and no other."""

from pathlib import Path

from medlora.runtime import Environment
from medlora.storage.service_hosts import service_hosts


def test_the_services_own_hosts_and_the_named_ones(tmp_path: Path) -> None:
    """Endpoints of variables and of AWS's config file, proxies; nothing where nobody names any."""
    plain = Environment({}, frozenset(), tmp_path)
    assert ".amazonaws.com" in service_hosts("s3", plain)
    assert ".googleapis.com" in service_hosts("gs", plain)
    assert not {".amazonaws.com"} & set(service_hosts("gs", plain))
    config = tmp_path / "config"
    config.write_text(
        "[profile x]\nservices = y\n[services y]\ns3 =\n  endpoint_url = http://nas:9\n"
    )
    named = Environment(
        {
            "AWS_CONFIG_FILE": str(config),
            "AWS_ENDPOINT_URL_S3": "https://minio.hospital.local:9000/x",
            "https_proxy": "proxy.local:3128",
            "STORAGE_EMULATOR_HOST": "http://emulator:4443",
        },
        frozenset(),
        tmp_path,
    )
    assert {"nas", "minio.hospital.local", "proxy.local"} <= set(service_hosts("s3", named))
    assert {"emulator", "proxy.local"} <= set(service_hosts("gs", named))
    assert "emulator" not in service_hosts("s3", named)
