"""The folder of a base model, found; nothing in it is read."""

from pathlib import Path

from medlora.errors import MissingPartError


def find_base(value: str, *, mount: Path) -> Path:
    """Return the folder of the base model.

    The path itself if it has a config.json, else its only subfolder that has one.  A relative
    path counts from the working directory, then from the mount.

    Raises:
        MissingPartError: there is no model, or several could be meant.
    """
    roots = list(dict.fromkeys((Path(value), mount / value)))
    for root in roots:
        if (root / "config.json").is_file():
            return root
    inner = [path.parent for root in roots for path in sorted(root.glob("*/config.json"))]
    if len(inner) == 1:
        return inner[0]
    where = " or ".join(str(root) for root in roots)
    if not inner:
        raise MissingPartError(
            f"model.base_model_name: no config.json in {where}",
            fix="mount the folder of a base model that holds config.json and *.safetensors",
        )
    names = ", ".join(path.name for path in inner)
    raise MissingPartError(
        f"{where}: holds {len(inner)} models ({names})", fix="name one in model.base_model_name"
    )
