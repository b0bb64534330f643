"""The log of calls: what matches, page by page, and what comes while one looks."""
