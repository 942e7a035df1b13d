"""The config as JSON Schema, for editors that complete and check YAML."""

import json
from typing import Any

from medlora.config.schema import RunConfig

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> str:
    """Return the schema of a config file, as JSON."""
    schema = RunConfig.model_json_schema()
    for section in (schema, *schema.get("$defs", {}).values()):
        if "properties" not in section:  # any JSON value
            continue
        section["type"] = ["object", "null"]  # a section without a key is an empty one
        section.pop("title", None)
        for field in section["properties"].values():
            field.pop("title", None)
    whole: dict[str, Any] = {"$schema": _DIALECT, "title": "A run of MedLoRA", **schema}
    return json.dumps(whole, indent=2) + "\n"
