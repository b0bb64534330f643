"""How fast this machine is: what it takes to import much of the standard library in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
# What the modules below take on the machine that the limit is meant for (2 vCPU, AMD EPYC, Python 3.11), when nothing
# disturbs it. Shared machines run at half their speed for minutes, and then all imports do: the limit moves with them.
STANDARD_MS = 200
STANDARD = (
    "asyncio concurrent.futures.process csv ctypes.util decimal difflib doctest email.mime.multipart email.mime.text "
    "fractions ftplib gzip html.parser http.cookiejar http.server imaplib importlib.resources inspect ipaddress json "
    "logging.config logging.handlers mailbox multiprocessing.managers multiprocessing.pool optparse pdb pickletools "
    "plistlib poplib pprint profile pstats pyclbr pydoc secrets shelve smtplib socketserver sqlite3 ssl statistics "
    "symtable tarfile tempfile timeit tomllib trace unittest.mock urllib.request uuid venv wave webbrowser "
    "wsgiref.simple_server xml.dom.minidom xml.etree.ElementTree xml.sax xmlrpc.server zipapp zipfile zoneinfo"
).split()

PROBE = """
import sys, time, importlib
sys.path.insert(0, {root!r})
dialled = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        dialled.append(event)
sys.addaudithook(watch)
start = time.process_time()
for name in {names!r}:
    importlib.import_module(name)
spent_ms = (time.process_time() - start) * 1000
import json
print(json.dumps({{"ms": spent_ms, "modules": sorted(sys.modules), "dialled": dialled}}))
"""


class Import(msgspec.Struct, frozen=True):
    """What one import took and brought."""

    ms: float
    modules: set[str]
    dialled: list[str]


def import_modules(*names: str) -> Import:
    """Import these in a fresh process and tell what it took."""
    # Processor time, since the suite's other half runs beside it; the second run finds what the first one compiled.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", PROBE.format(root=str(ROOT), names=names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Import)


def slowness(tries: int = 3) -> float:
    """How many times longer than the standard machine this one takes at its best; 1 where it is faster."""
    return max(1.0, min(import_modules(*STANDARD).ms for _ in range(tries)) / STANDARD_MS)
