"""Writes examples into files that other programs read, and says what such a file cannot carry."""

from tunesmith.data.writers.dataset import write_dataset
from tunesmith.data.writers.formats import DATASET, file_formats, format_for
from tunesmith.data.writers.writing import write_examples

__all__ = ["DATASET", "file_formats", "format_for", "write_dataset", "write_examples"]
