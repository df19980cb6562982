"""`python -m ablations`. Light on purpose: worker processes import this module again when they start."""

from __future__ import annotations

import sys

from core import torchrun


def main() -> None:
    from ablations.cli import run_cli

    if torchrun.launched():
        from ablations.executors import together

        together.end(together.main(sys.argv[1:], run_cli))
    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
