"""Which packages are installed, and in which versions; nothing of them is imported."""

from importlib.metadata import PackageNotFoundError, version

# What decides the bits of a run, or is an optional part of the image.
_LIBRARIES = (
    "medlora",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "tokenizers",
    "numpy",
    "bitsandbytes",
    "opacus",
)


def package_version(name: str) -> str | None:
    """Return a package's version, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def library_versions() -> dict[str, str]:
    """Return {library: version} of what computes, as far as it is installed."""
    versions = ((name, package_version(name)) for name in _LIBRARIES)
    return {name: text for name, text in versions if text}
