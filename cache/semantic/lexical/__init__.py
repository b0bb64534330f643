"""How two questions differ word by word: the place where they part, and what the words there mean."""
