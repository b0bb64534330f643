"""The only place that opens upstream connections: a pooled asyncio HTTP/1.1 client and its face for httpx."""
