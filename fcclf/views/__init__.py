"""Numbers into pictures and reports; nothing here knows a run."""
