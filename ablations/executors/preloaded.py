"""What every worker needs and takes seconds to import: loaded once, in the process that workers are forked from.

What cannot be imported is left to the run that needs it, which fails with its reason.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module

from core.process import end_with_parent

end_with_parent(os.getppid())  # at once: left alone, the server would wait for its workers to end
for _name in ("core.trainer", "timm"):
    with suppress(Exception):
        import_module(_name)
