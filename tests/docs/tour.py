"""Runs a page's console and Python blocks as a user would: one shell, one folder, real gateway processes.

What the page writes for a user's machine is put right on the way: the port, the commands of ``.venv`` and ``make``,
OpenAI's address, and the keys and ids of the run on the page, which are other ones in every run.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

from docs.blocks import Block, Step, read_steps
from docs.comparing import find_ids

PAGE_PORT = "127.0.0.1:8080"
# Where the page's example expects a server that is not running.
ABSENT_PORT = "127.0.0.1:8081"
SERVE = re.compile(r'(?P<environ>(?:\w+=\S+ )*)make serve(?: ARGS="(?P<args>[^"]*)")?')
STAND_IN = "stand_in.toml"
READY = "WatchLLM is ready on "
END = "\x1e"


class Tour:
    """A running tour; ``close`` ends the shell and the gateway."""

    def __init__(self, folder: Path, openai_url: str) -> None:
        self._folder = folder
        (folder / STAND_IN).write_text(
            f'[providers.openai]\nbase_url = "{openai_url}"\napi_key = "env:OPENAI_API_KEY"\n'
            # A busy machine finds a like question later than a call may wait; the page tells what is found.
            "[cache]\nsemantic_max_wait_ms = 10000\n",
            encoding="utf-8",
        )
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environ = {**kept, "NO_PROXY": "127.0.0.1"}
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._gateway: subprocess.Popen[str] | None = None
        # What stands on the page -> what stands for it in this run.
        self._real: dict[str, str] = {ABSENT_PORT: f"127.0.0.1:{find_closed_port()}"}

    def run(self, block: Block) -> list[tuple[Step, str]]:
        """Run a console block; returns each step with what it printed."""
        return [(step, self._run_step(step)) for step in read_steps(block.text)]

    def run_python(self, source: str, shown: str) -> str:
        """Run a Python block in the shell, with the variables that were exported there."""
        (self._folder / "page.py").write_text(self._localise(source), encoding="utf-8")
        return self._type(Step(f"{shlex.quote(sys.executable)} page.py", shown))

    def write_file(self, name: str, text: str) -> None:
        """Write a file that the page tells the user to write."""
        (self._folder / name).write_text(self._localise(text), encoding="utf-8")

    def close(self) -> None:
        """End everything."""
        self._stop()
        self._shell.communicate("exit\n", timeout=10)

    def _run_step(self, step: Step) -> str:
        serve = SERVE.fullmatch(step.command)
        printed = self._serve(serve) if serve else self._type(step)
        self._real.update(zip(find_ids(step.shown), find_ids(printed), strict=False))
        return printed

    def _localise(self, text: str) -> str:
        command = f"{shlex.quote(sys.executable)} -m gateway"
        text = text.replace(".venv/bin/watchllm", command)
        for shown, real in self._real.items():
            text = text.replace(shown, real)
        return text

    def _type(self, step: Step) -> str:
        given, answered = self._pipes()
        given.write(f"{self._localise(step.command)}\nprintf '{END}\\n'\n")
        given.flush()
        printed = ""
        while not printed.endswith(f"{END}\n"):
            line = answered.readline()
            assert line, f"the shell ended in: {step.command}"
            printed += line
        return printed.removesuffix(f"{END}\n")

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        return self._shell.stdin, self._shell.stdout

    def _serve(self, serve: re.Match[str]) -> str:
        """Start the gateway that ``make serve`` starts, in place of the one before; returns what it says at first."""
        self._stop()
        environ = dict(pair.split("=", 1) for pair in serve["environ"].split())
        if "OPENAI_API_KEY" in environ:
            environ["WATCHLLM_CONFIG"] = STAND_IN
        self._gateway = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--port", "0", *shlex.split(serve["args"] or "")],
            cwd=self._folder,
            env=self._environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._gateway.stdout is not None
        printed = ""
        for line in self._gateway.stdout:
            printed += line
            if line.startswith(READY):
                address = line.removeprefix(READY + "http://").partition("/")[0]
                self._real[PAGE_PORT] = address
                return printed.replace(address, PAGE_PORT)
        raise AssertionError(f"the gateway ended: {printed}")

    def _stop(self) -> None:
        if self._gateway is None:
            return
        self._gateway.terminate()
        rest, _ = self._gateway.communicate(timeout=10)
        assert (self._gateway.returncode, rest) == (0, ""), "a stopped gateway has drained and says nothing"
        self._gateway = None


def find_closed_port() -> int:
    """Find a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
