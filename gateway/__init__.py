"""The gateway: an OpenAI-compatible proxy that authenticates, routes, meters and records every call."""
