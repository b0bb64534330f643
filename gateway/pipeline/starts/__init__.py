"""How calls begin: those that came in one turn together."""
