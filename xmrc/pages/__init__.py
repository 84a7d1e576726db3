"""A study as a page. In: what it has written. Out: HTML and pictures; nothing else draws."""

from xmrc._lazy import lazy_names

_HOMES = {
    "Findings": "xmrc.pages.findings",
    "find_run": "xmrc.pages.findings",
    "gxlt_difference_heatmap": "xmrc.pages.heatmaps",
    "gxlt_heatmap": "xmrc.pages.heatmaps",
    "read_findings": "xmrc.pages.findings",
    "write_report": "xmrc.pages.page",
}
__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
