"""How far the entropic penalty is from optimal."""
