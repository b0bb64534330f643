"""The faces of the gateway: HTTP only; decode, call one function, encode."""
