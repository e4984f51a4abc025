"""How far fitted distributions over permutations are from an exact posterior."""
