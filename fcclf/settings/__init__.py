"""What is asked for: dataclasses with their rules, standard library only."""
