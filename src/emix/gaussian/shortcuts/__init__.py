"""Shortcuts of a pass: work that need not be done."""
