"""Probes as numbers: from rows and labels to a fitted probe, for many problems at once."""
