"""The semantic layer around calls: its questions, its store, its work in the background. Only `layer` loads numpy."""
