"""`python -m ablations`. Light on purpose: worker processes import this module again when they start."""

from __future__ import annotations

import sys

from ablations.exit_codes import EXIT_INTERRUPTED
from core import torchrun


def main() -> None:
    try:
        from ablations.cli import run_cli
    except KeyboardInterrupt:  # it takes seconds, in which there is no command line yet that tells of it
        print("\nstopped before anything was done", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)

    if torchrun.launched():
        from ablations.executors import together

        together.end(together.main(sys.argv[1:], run_cli))
    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
