"""How calls end: what they have open is closed, those that were answered whole in one turn together."""
