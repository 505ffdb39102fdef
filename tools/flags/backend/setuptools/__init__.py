"""Stands in for setuptools where only the metadata of a source distribution is wanted."""
