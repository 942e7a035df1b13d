"""Names of files that transformers and PEFT read and write."""

CONFIG = "config.json"  # of a base
GENERATION = "generation_config.json"
DESCRIPTION = "adapter_config.json"  # of an adapter
WEIGHTS = "adapter_model.safetensors"
