"""The command line with a checkpoint every few steps: `python tests/faults/impatient.py run ...`.

Workers import this file again when they start, so the interval is theirs, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import core.checkpoint

core.checkpoint.SAVE_EVERY = 0.05

if __name__ == "__main__":
    from ablations.cli import run_cli

    sys.exit(run_cli(sys.argv[1:]))
