"""Logits into weights: the compiled loop and its session."""
