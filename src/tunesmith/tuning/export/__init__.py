"""Hands a tuned model on in the forms that other programs load. Writes; what proves it loads stands in ``loaders``."""
