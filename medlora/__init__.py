"""Fine-tune a medical language model with LoRA: offline, reproducible, one container image."""
