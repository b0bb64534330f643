"""The semantic layer: vectors and texts in, decisions out. Importing its engine loads numpy; using it, FAISS."""
