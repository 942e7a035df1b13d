"""The console script, as people start it."""

import subprocess
import sys
from pathlib import Path

MEDLORA = Path(sys.executable).parent / "medlora"
ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the console script in a clean environment."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environ}
    return subprocess.run(
        [MEDLORA, *arguments], capture_output=True, text=True, env=env, check=False
    )
