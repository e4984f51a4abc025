"""How fast and how right the operators are, beside every peer that is installed."""
