"""Starting parameters of a fit."""
