"""Importers, one a format: a file of other tools in, items of a suite out."""
