"""How each server is started, what it is sent, and where its answer says the class."""
import base64
import functools
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from classifier import Classifier

HERE = Path(__file__).parent
MULTIPART = "buckler-peers-3b1f8a"


@dataclass
class Setting:
    """What is the same for all."""

    models: Path
    model: str
    image: bytes
    threads: int
    workers: int
    buckler: Path
    pythons: dict
    scratch: Path

    @property
    def file(self):
        return self.models / self.model / "1/model.onnx"

    @functools.cached_property
    def tensor(self):
        """The image as the Open Inference Protocol's JSON, decoded by the peers' own code."""
        os.environ.update(PEER_MODEL=str(self.file), PEER_THREADS="1")
        classifier = Classifier()
        pixels = classifier.decode(self.image)
        tensor = {"name": classifier.input, "shape": [1, *pixels.shape], "datatype": "FP32", "data": pixels.ravel().tolist()}
        return json.dumps({"inputs": [tensor], "outputs": [{"name": "logits"}]}).encode()

    def program(self, peer, name):
        """A program of the environment into which the peer was installed."""
        return str(Path(self.pythons.get(peer, sys.executable)).parent / name)


@dataclass
class Peer:
    name: str
    command: list
    path: str
    body: bytes
    content_type: str
    ready: str
    classes: object
    environment: dict = field(default_factory=dict)


def argmax(answer):
    logits = next(output for output in answer["outputs"] if output["name"] == "logits")
    rows, columns = logits["shape"]
    return [max(range(columns), key=lambda c: logits["data"][row * columns + c]) for row in range(rows)]


def buckler(setting, port):
    command = [str(setting.buckler), "serve", "--models", str(setting.models), "--bind", f"127.0.0.1:{port}"]
    shared = {"command": command, "ready": "/health", "environment": {"BUCKLER_LOG": "warn"}}
    yield Peer(
        name="buckler",
        path=f"/predict?model={setting.model}",
        body=setting.image,
        content_type="application/octet-stream",
        classes=lambda answer: [prediction["class"] for prediction in answer["predictions"]],
        **shared,
    )
    yield Peer(
        name="buckler, JSON tensor",
        path=f"/v2/models/{setting.model}/infer",
        body=setting.tensor,
        content_type="application/json",
        classes=argmax,
        **shared,
    )


def fastapi(setting, port):
    for workers in sorted({1, setting.workers}):
        yield Peer(
            name=f"fastapi, {workers} worker{'s' * (workers > 1)}",
            command=[setting.program("fastapi", "uvicorn"), "fastapi_server:app", "--host", "127.0.0.1", "--port", str(port)]
            + ["--workers", str(workers), "--no-access-log", "--log-level", "warning"],
            path="/predict",
            body=setting.image,
            content_type="application/octet-stream",
            ready="/ready",
            classes=lambda answer: [answer["class"]],
            environment={"PEER_THREADS": str(max(1, setting.threads // workers))},
        )


def bentoml(setting, port):
    head = f'--{MULTIPART}\r\nContent-Disposition: form-data; name="images"; filename="image"\r\n\r\n'
    yield Peer(
        name="bentoml",
        command=[setting.program("bentoml", "bentoml"), "serve", "bentoml_service:Peer", "--working-dir", str(HERE)]
        + ["--host", "127.0.0.1", "--port", str(port)],
        path="/predict",
        body=head.encode() + setting.image + f"\r\n--{MULTIPART}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={MULTIPART}",
        ready="/readyz",
        classes=lambda answer: [prediction["class"] for prediction in answer],
        # A line in the log for each request would cost only this server.
        environment={"BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false", "BENTOML_DO_NOT_TRACK": "true"},
    )


def mlserver(setting, port):
    """`parallel_workers` 0: the model runs in the server's own process, which spares it a way through a queue."""
    folder = setting.scratch / f"mlserver-{port}"
    folder.mkdir(exist_ok=True)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "parallel_workers": 0}
    settings |= {"use_structured_logging": False, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": setting.model, "implementation": "mlserver_model.Peer"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    shared = {
        "command": [setting.program("mlserver", "mlserver"), "start", str(folder)],
        "path": f"/v2/models/{setting.model}/infer",
        "content_type": "application/json",
        "ready": "/v2/health/ready",
        "classes": argmax,
    }
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(setting.image).decode()]}
    yield Peer(name="mlserver, base64 image", body=json.dumps({"inputs": [image]}).encode(), **shared)
    yield Peer(name="mlserver, JSON tensor", body=setting.tensor, **shared)


PEERS = {"buckler": buckler, "fastapi": fastapi, "bentoml": bentoml, "mlserver": mlserver}
PACKAGES = {"fastapi": ["fastapi", "uvicorn"], "bentoml": ["bentoml"], "mlserver": ["mlserver"]}
