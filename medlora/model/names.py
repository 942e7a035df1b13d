"""Names of files that PEFT reads and writes."""

WEIGHTS = "adapter_model.safetensors"
