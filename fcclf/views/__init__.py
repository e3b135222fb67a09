"""Figures and reports of numbers, independent of runs.

evaluation    metrics and reports of predictions
confusion     a confusion matrix as text
lettering     names of classes and columns, as figures show them
plots         figures of curves, boundaries and confusion
diagnostics   figures of calibration, ROC, weights and mistakes
frames        small pictures of a network as it learns
animation     those pictures as a GIF
"""
