"""The listening side: uvicorn's server with a short way for the calls that matter."""
