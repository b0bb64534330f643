"""The ordinary API: people, projects, keys, usage and money, in the shapes of the documents."""
