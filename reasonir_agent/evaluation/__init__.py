"""Measurements: each figure that a default rests on comes from here."""
