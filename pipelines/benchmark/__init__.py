"""The speed and the accuracy of the operators, beside every peer that is installed."""
