"""The sandbox behind test keys: a deterministic model that calls nothing and costs nothing, and its parts."""
