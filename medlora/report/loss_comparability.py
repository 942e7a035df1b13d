"""Which tokens a loss was measured on: losses on other ones are no comparison."""

from medlora.report.manifest_schema import RunFacts

TRAINING = "train_loss"
_TOKENIZER = ("base.tokenizer.json", "base.tokenizer_config.json", "base.chat_template.jinja")


def loss_inputs(manifest: RunFacts, loss: str) -> dict[str, object]:
    """Return all that decides which tokens a loss of a run was measured on, as JSON values.

    Args:
        manifest: of the run, or of a checkpoint of it.
        loss: its name in the manifest's `result`.
    """
    inputs = manifest.get("inputs", {})
    settings = {key: value for key, value in inputs.items() if key.startswith("data.")}
    decisive = {**settings, **{key: inputs.get(key) for key in _TOKENIZER}}
    if "eval" not in manifest.get("data", {}).get("sha256", {}):  # drawn from the training file
        return {**decisive, "seed": inputs.get("training.seed")}
    if loss != TRAINING:
        decisive.pop("data.train", None)
    return decisive
