"""The only rooms of MLflow: where it is, the runs of a study, the registry of its readers.

They deal in paths and tables, never in models.
"""

from xmrc._lazy import lazy_names

_HOMES = {
    "Tracker": "xmrc.tracking.tracker",
    "Version": "xmrc.tracking.registry",
    "find_reader": "xmrc.tracking.readers",
    "register": "xmrc.tracking.registry",
    "tracking_uri": "xmrc.tracking.server",
    "version_of": "xmrc.tracking.registry",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
