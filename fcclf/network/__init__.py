"""Arrays into logits."""
