"""The only rooms of MLflow: where it is, the runs of a study, the registry of its readers.

They deal in paths and tables, never in models.
"""
