"""A built function at work on this machine: in AWS's Lambda emulator, or in plain Python."""

from __future__ import annotations

import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from scripts.local_aws import CREDENTIALS
from scripts.stack import REGION, ROOT, Json, get_name, resolve_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUILD = ROOT / ".aws-sam" / "build"
INVOCATIONS = "/2015-03-31/functions/function/invocations"
# Linux kills a process started through this as soon as its parent ends, however that happens; a
# parent that ended before that call is told by its id.
START = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() == int(os.environ["STARTED_BY"]):
    os.environ["STARTED_BY"] = str(os.getpid())
    os.execv(sys.argv[1], sys.argv[1:])
"""
RUN_IN_PYTHON = """
import json, os, signal, sys, traceback
signal.alarm(int(os.environ["AWS_LAMBDA_FUNCTION_TIMEOUT"]))
answers = sys.stdout
sys.stdout = sys.stderr
try:
    import app
    answer = app.lambda_handler(json.load(sys.stdin), None)
except Exception as ex:
    answer = {"errorType": type(ex).__name__, "errorMessage": str(ex),
              "stackTrace": traceback.format_tb(ex.__traceback__)}
json.dump(answer, answers)
"""


@dataclass
class Function:
    """A built function, configured as in the template."""

    folder: Path
    handler: str
    timeout: int
    environment: dict[str, str]


def load_function(rule: str) -> Function:
    """Return the rule's function as the template configures it by default."""
    name = f"{get_name(rule)}Function"
    function = resolve_stack()[name]["Properties"]
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["MemorySize"]),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function["Timeout"]),
        "AWS_LAMBDA_LOG_FORMAT": function["LoggingConfig"]["LogFormat"],
        "AWS_LAMBDA_LOG_LEVEL": function["LoggingConfig"]["ApplicationLogLevel"],
        "LAMBDA_TASK_ROOT": str(BUILD / name),
        "PYTHONDONTWRITEBYTECODE": "1",
        **CREDENTIALS,
        **function.get("Environment", {}).get("Variables", {}),
    }
    return Function(BUILD / name, function["Handler"], function["Timeout"], environment)


class Runtime:
    """One function's runtime: takes events, keeps the log."""

    def __init__(self, function: Function, log: IO[bytes], address: str | None) -> None:
        """Keep where the emulator listens; without it, each event gets a process of its own."""
        self.function, self._log, self._address = function, log, address
        self._read = 0

    def invoke(self, event: Json) -> Any:
        """Return the function's answer; errorType and errorMessage if it failed."""
        text = self._ask_emulator(event) if self._address else self._run_python(event)
        try:
            return json.loads(text)
        except ValueError:  # Lambda's own words, of a time-out for example
            return {"errorType": "Sandbox.Failure", "errorMessage": text}

    def _ask_emulator(self, event: Json) -> str:
        with closing(http.client.HTTPConnection(str(self._address))) as connection:
            connection.request("POST", INVOCATIONS, json.dumps(event))
            return connection.getresponse().read().decode()

    def _run_python(self, event: Json) -> str:
        process = subprocess.run(
            [sys.executable, "-c", RUN_IN_PYTHON],
            cwd=self.function.folder,
            env=self.function.environment,
            input=json.dumps(event).encode(),
            stdout=subprocess.PIPE,
            stderr=self._log,
            check=False,
        )
        if process.returncode == -signal.SIGALRM:
            return f"Task timed out after {self.function.timeout}.00 seconds"
        return process.stdout.decode() or f"Runtime exited with exit status {process.returncode}"

    def read_log(self) -> str:
        """Return what the function and its runtime have written since this was last called."""
        end = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), end - self._read, self._read)
        self._read = end
        return text.decode(errors="replace")


def find_emulator() -> Path | None:
    """Return SAM CLI's emulator for this machine, None where it cannot run."""
    if sys.platform != "linux":
        return None
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = (ROOT / ".venv-sam").glob(f"lib/*/site-packages/samcli/local/rapid/*-rie-{machine}")
    return next(found, None)


@contextmanager
def start_function(function: Function, endpoint: str) -> Iterator[Runtime]:
    """Run the function until the block ends, with `endpoint` as AWS."""
    function.environment["AWS_ENDPOINT_URL"] = endpoint
    with tempfile.TemporaryFile() as log:
        emulator = find_emulator()
        if emulator is None:
            yield Runtime(function, log, None)
            return
        address, runtime_api = find_free_addresses(2)
        runtime = [sys.executable, "-c", START, sys.executable, "-m", "awslambdaric"]
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", START, str(emulator)),
                *("--runtime-interface-emulator-address", address),
                *("--runtime-api-address", runtime_api),
                *runtime,
                function.handler,
            ],
            cwd=function.folder,
            env={**function.environment, "STARTED_BY": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_listening(address, process)
            yield Runtime(function, log, address)
        finally:
            process.kill()
            process.wait()


def find_free_addresses(number: int) -> list[str]:
    """Return that many different addresses of 127.0.0.1 that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def wait_until_listening(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens; RuntimeError if the process ends or ten seconds pass."""
    host, port = address.split(":")
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"The Lambda emulator does not listen on {address}.")
