"""`train` with nothing mounted but a place for the result: the labelled demo, once."""


def test_says_that_it_is_a_demo(demo) -> None:
    """Nobody takes the demo's adapter for a medical model: log and manifest say it."""
    assert "DEMO" in demo.said
    assert demo.manifest["demo"] is True
    assert demo.manifest["status"] == "finished"


def test_log_has_nothing_to_worry_about(demo) -> None:
    """A warning in every good run would teach people to overlook warnings."""
    assert "warning" not in demo.said.lower()
    assert "Traceback" not in demo.said


def test_final_folder_is_complete(demo) -> None:
    """The adapter comes with what is needed to talk to it."""
    names = {path.name for path in (demo.folder / "final").iterdir()}

    assert names >= {
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "manifest.json",
    }


def test_adapter_loads_with_peft_and_changes_the_model(demo, demo_base) -> None:
    """Plain PEFT loads the adapter onto the base, and its weights are not the initial zeros."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(demo_base)
    model = PeftModel.from_pretrained(base, demo.folder / "final")

    updates = [p for name, p in model.named_parameters() if "lora_B" in name]
    assert updates
    assert all(update.abs().max() > 0 for update in updates)


def test_files_belong_to_the_user_and_open_to_the_group(demo, uid) -> None:
    """The next run may have another user id: group 0 must be able to go on."""
    paths = [demo.folder, *demo.folder.rglob("*")]

    assert {path.stat().st_uid for path in paths} == {uid}
    assert [path for path in paths if not path.stat().st_mode & 0o020] == []
    assert [path for path in paths if path.stat().st_mode & 0o002] == []
