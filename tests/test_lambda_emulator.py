"""The functions as `sam build` makes them, in AWS's own Lambda emulator: as in `make run`."""

import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from scripts.events import list_sample_events
from scripts.template import ROOT, get_name, load_template
from tests.helpers import RULES, SAM_PYTHON, FakeAws, load, needs_sam, read_event

INVOCATIONS = "/2015-03-31/functions/function/invocations"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the built functions."""
    folder = tmp_path_factory.mktemp("build")
    command: list[str | Path] = [SAM_PYTHON, "-m", "samcli", "build", "--build-dir", folder]
    path = f"{SAM_PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return folder


def find_free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def start_emulator(folder: Path, handler: str, endpoint: str) -> tuple[Any, str]:
    """Start a built function; return its process and address."""
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    (emulator,) = SAM_PYTHON.parents[1].glob(
        f"lib/*/site-packages/samcli/local/rapid/*-rie-{machine}"
    )
    address = find_free_address()
    options = ["--runtime-interface-emulator-address", address]
    options += ["--runtime-api-address", find_free_address()]
    runtime = [sys.executable, "-m", "awslambdaric", handler]
    variables = {"AWS_ENDPOINT_URL": endpoint, "LAMBDA_TASK_ROOT": str(folder)}
    process = subprocess.Popen(
        [emulator, *options, *runtime],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process, address


def ask(address: str, event: Any) -> Any:
    """Return the function's answer, once its emulator listens."""
    for _ in range(1000):
        with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
            try:
                connection.request("POST", INVOCATIONS, json.dumps(event))
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return json.loads(connection.getresponse().read())
    raise AssertionError(f"The emulator does not listen on {address}.")


def get_answer(rule: str, event: Any) -> Any:
    """Return what the handler returns, or the kind of its error."""
    try:
        return load(rule).lambda_handler(event, None)
    except Exception as ex:  # noqa: BLE001  # a rule may need what only its state.py answers
        return type(ex).__name__


@needs_sam
@pytest.mark.skipif(sys.platform != "linux", reason="SAM CLI's Lambda emulator is a Linux binary")
@pytest.mark.parametrize("rule", RULES)
def test_built_function_answers_as_in_make_run(
    rule: str, aws: FakeAws, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.prepare_rule(rule)
    if aws.answers:
        pytest.skip(f"events/{rule}/state.py has ANSWERS, which moto's server does not know")
    # What a state.py registers on its session reaches no other process: here it counts nowhere.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", aws.make_session(aws.region))
    name = f"{get_name(rule)}Function"
    template = load_template()
    function = template["Globals"]["Function"] | template["Resources"][name]["Properties"]
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    process, address = start_emulator(built / name, function["Handler"], f"http://{host}:{port}")
    try:
        for path in list_sample_events(rule):
            event = read_event(rule, path.stem)
            answer = ask(address, event)
            if isinstance(answer, dict):
                answer = answer["errorType"]
            assert answer == get_answer(rule, event), path
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        server.stop()
