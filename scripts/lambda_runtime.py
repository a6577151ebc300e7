"""The built functions at work on this machine: in AWS's Lambda emulator, or in plain Python."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import requests
from samtranslator.plugins.globals.globals import Globals
from samtranslator.yaml_helper import yaml_parse

from scripts.local_aws import CREDENTIALS, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
BUILD = ROOT / ".aws-sam" / "build"
RUN_IN_PYTHON = """
import json, sys, traceback
try:
    import app
    answer = app.lambda_handler(json.load(sys.stdin), None)
except Exception as ex:
    answer = {"errorType": type(ex).__name__, "errorMessage": str(ex),
              "stackTrace": traceback.format_exc().splitlines(keepends=True)}
json.dump(answer, sys.stdout)
"""


@dataclass
class Function:
    """A built function, as its template configures it."""

    folder: Path
    handler: str
    timeout: int
    memory: int
    environment: dict[str, str]
    log_format: str
    log_level: str


class Runtime:
    """One function's runtime: takes events, keeps the log."""

    def __init__(self, log: IO[bytes]) -> None:
        """Keep the log in an open file."""
        self._log = log

    def invoke(self, event: dict[str, Any]) -> Any:
        """Return the function's answer; errorType and errorMessage if it failed."""
        raise NotImplementedError

    def read_log(self) -> str:
        """Return all that the function and its runtime have written."""
        self._log.seek(0)
        return self._log.read().decode()


class EmulatorRuntime(Runtime):
    """AWS's Lambda Runtime Interface Emulator, already listening."""

    def __init__(self, log: IO[bytes], address: str, timeout: int) -> None:
        """Keep the emulator's address and the function's timeout in seconds."""
        super().__init__(log)
        self._url = f"http://{address}/2015-03-31/functions/function/invocations"
        self._timeout = timeout

    def invoke(self, event: dict[str, Any]) -> Any:  # noqa: D102
        answer = requests.post(self._url, json=event, timeout=self._timeout)
        answer.raise_for_status()
        return answer.json()


class PythonRuntime(Runtime):
    """A Python process for each event, where the emulator cannot run."""

    def __init__(self, log: IO[bytes], function: Function, environment: dict[str, str]) -> None:
        """Keep what the processes are started with."""
        super().__init__(log)
        self._function, self._environment = function, environment

    def invoke(self, event: dict[str, Any]) -> Any:  # noqa: D102
        process = subprocess.run(
            [sys.executable, "-c", RUN_IN_PYTHON],
            cwd=self._function.folder,
            env=self._environment,
            input=json.dumps(event).encode(),
            stdout=subprocess.PIPE,
            stderr=self._log,
            timeout=self._function.timeout,
            check=True,
        )
        return json.loads(process.stdout)


def load_function(rule: str, template: Path = BUILD / "template.yaml") -> Function:
    """Return the function whose code is in folder `rule`, from the built template.

    Parameters have their defaults. ValueError if the template has no such function.
    """
    built = yaml_parse(template.read_text())
    source = yaml_parse((ROOT / "template.yaml").read_text())
    for name, resource in source["Resources"].items():
        if resource["Properties"].get("CodeUri", "").strip("/") == rule:
            properties = Globals(built).merge(
                resource["Type"], built["Resources"][name]["Properties"], name
            )
            break
    else:
        raise ValueError(f"rule must be a folder of template.yaml's functions, not {rule!r}.")
    defaults = {name: each["Default"] for name, each in built["Parameters"].items()}
    variables = properties["Environment"]["Variables"]
    return Function(
        folder=template.parent / properties["CodeUri"],
        handler=properties["Handler"],
        timeout=properties["Timeout"],
        memory=properties["MemorySize"],
        environment={
            name: str(resolve(value, built["Conditions"], defaults))
            for name, value in variables.items()
        },
        log_format=properties["LoggingConfig"]["LogFormat"],
        log_level=properties["LoggingConfig"]["ApplicationLogLevel"],
    )


def resolve(  # noqa: PLR0911  # one return for each intrinsic function
    value: Any, conditions: dict[str, Any], parameters: dict[str, Any]
) -> Any:
    """Return what a value of the template means with these parameters."""

    def meaning(part: Any) -> Any:
        return resolve(part, conditions, parameters)

    match value:
        case {"Ref": name}:
            return parameters[name]
        case {"Condition": name}:
            return meaning(conditions[name])
        case {"Fn::If": [name, chosen, otherwise]}:
            return meaning(chosen if meaning({"Condition": name}) else otherwise)
        case {"Fn::Equals": [left, right]}:
            return meaning(left) == meaning(right)
        case {"Fn::Not": [part]}:
            return not meaning(part)
        case {"Fn::Or": parts}:
            return any(meaning(part) for part in parts)
    return value


def find_emulator() -> Path | None:
    """Return SAM CLI's emulator for this machine, None where it cannot run."""
    if sys.platform != "linux":
        return None
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = (ROOT / ".venv-sam").glob(f"lib/*/site-packages/samcli/local/rapid/*-rie-{machine}")
    return next(found, None)


@contextmanager
def start_function(
    function: Function, endpoint: str, *, emulator: Path | None, **variables: str
) -> Iterator[Runtime]:
    """Run the function until the block ends, with `endpoint` as AWS; `variables` go before."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": function.folder.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout),
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_LAMBDA_LOG_LEVEL": function.log_level,
        "LAMBDA_TASK_ROOT": str(function.folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        **CREDENTIALS,
        **function.environment,
        **variables,
    }
    with tempfile.TemporaryFile() as log:
        if emulator is None:
            yield PythonRuntime(log, function, environment)
            return
        with start_emulator(emulator, function, environment, log) as address:
            yield EmulatorRuntime(log, address, function.timeout)


@contextmanager
def start_emulator(
    emulator: Path, function: Function, environment: dict[str, str], log: IO[bytes]
) -> Iterator[str]:
    """Run the emulator on two free ports of 127.0.0.1 until the block ends; give its address."""
    address, runtime_api = find_free_addresses(2)
    process = subprocess.Popen(
        [
            str(emulator),
            f"--runtime-interface-emulator-address={address}",
            f"--runtime-api-address={runtime_api}",
            sys.executable,
            "-m",
            "awslambdaric",
            function.handler,
        ],
        cwd=function.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        wait_until_listening(address, process)
        yield address
    finally:
        # The emulator and the runtime that it started share the session made above.
        kill_session(process.pid)
        process.wait()


def kill_session(session: int) -> None:
    """Kill every process of a session; the emulator puts its child in a group of its own."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == session:
                os.kill(int(entry.name), signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself


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
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"The Lambda emulator does not listen on {address}.")
