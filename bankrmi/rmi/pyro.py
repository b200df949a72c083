"""Can Pyro5 be used? It reads variables of the environment when it is imported, and fails for nonsense.

Rule: this room is the first to import it, so that nobody else meets what is wrong there.
"""

from __future__ import annotations

import os

from bankrmi.errors import ConfigurationError

__all__: list[str] = []

_PREFIX = "PYRO_"

try:
    import Pyro5
except (ValueError, AttributeError, OSError) as error:
    _names = ", ".join(sorted(name for name in os.environ if name.startswith(_PREFIX))) or "none"
    raise ConfigurationError(
        f"Pyro5 does not accept what the environment says to it: {error}; "
        f"correct it or unset it (set are: {_names})"
    ) from error
del Pyro5
