"""Which phrases to keep: `longest` (the paper's rule) and `saving` (the biggest saving first)."""
