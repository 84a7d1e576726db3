"""The errors that a user can cause. In: key, file or id; rule; value. Out: one line, exit code 2.

Everything else that is raised is a defect of ours and keeps its traceback.
"""


class XmrcError(Exception):
    """What the user can mend. Its text is one line: the culprit, the rule, the value."""


class SettingsError(XmrcError):
    """A key of the study file or of `--set` breaks a rule."""


class DataError(XmrcError):
    """A corpus file, an answer, an alignment or a tokenizer breaks a rule."""


class ResourceError(XmrcError):
    """The machine, cluster, storage or tracking server cannot do what the study asks."""
