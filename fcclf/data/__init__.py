"""Samples into arrays."""
