"""Run MedLoRA's command line; all logic sits in the package (some runtimes skip ENTRYPOINT)."""

from medlora.cli import main

if __name__ == "__main__":
    main()
