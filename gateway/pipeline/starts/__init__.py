"""How calls begin: those that came in one turn together, where an answer is not in memory already."""
