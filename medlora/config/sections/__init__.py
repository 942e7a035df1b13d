"""The sections of a config, a module each: their keys, declared and described."""
