"""Why a training failed. In: what was raised, on whatever process. Out: one line."""

import re

from ray.exceptions import RayTaskError


def cause_of(error: BaseException | None) -> str:
    """One line that says why a trial failed."""
    while isinstance(error, RayTaskError) and error.cause is not error:
        error = error.cause
    if error is None:
        return "the trial's process was lost"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else "no message"
    from_worker = re.fullmatch(r"(?:\w+\.)+(\w+: .*)", last)  # below Ray Train's own error
    return from_worker[1] if from_worker else f"{type(error).__name__}: {last}"
