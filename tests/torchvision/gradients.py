"""Compares the gradient graphs of exported torchvision classifiers with autograd.

    pip install numpy onnx onnxruntime pillow torch torchvision
    python tests/torchvision/export.py --out DIR
    python tests/torchvision/gradients.py --models DIR --buckler target/release/buckler

Every `DIR/NAME-EXPORTER.onnx` is differentiated and run in onnxruntime on batches of two random images, and its gradient of
cross-entropy with respect to the image is compared with that of the same network in PyTorch. The judge is autograd in
float64; autograd in float32 stands beside ours to say what the precision allows, for wherever rounding flips a ReLU at zero
a float32 gradient jumps. Errors are relative L2 errors per image. The results go to stdout as a Markdown table.

Exit code 1 when a model cannot be differentiated or run, or the median error of its gradients is above the limit.
"""
import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parents[2] / "examples"))
from export import EXPORTERS, MODELS, build, images
from pgd import information, question

BATCH = 2
COLUMNS = [
    "model",
    "exporter",
    "opset",
    "operators",
    "nodes",
    "nodes of the gradient",
    "logits, median",
    "gradient, median",
    "worst",
    "autograd float32, median",
    "worst",
    "differentiate, s",
    "gradient, s",
    "autograd, s",
]


class Refused(Exception):
    """Why there is no gradient to compare. A reason that names node after node is cut off."""

    def __init__(self, reason):
        super().__init__(reason if len(reason) <= 300 else f"{reason[:300]} ...")


def seconds_since(started):
    return time.perf_counter() - started


def autograd(model, x, labels):
    """Logits, the gradient of cross-entropy for each image, both in float64, and the seconds it took."""
    started = time.perf_counter()
    x = x.clone().requires_grad_(True)
    logits = model(x)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
    return logits.detach().double().numpy(), gradient.double().numpy(), seconds_since(started)


def errors(found, truth):
    """The relative L2 error of each row."""
    rows = (len(truth), -1)
    difference = np.linalg.norm((found.astype(np.float64) - truth).reshape(rows), axis=1)
    return (difference / np.linalg.norm(truth.reshape(rows), axis=1)).tolist()


def reference(name, batches):
    """For each of some batches: images, labels, and what PyTorch says in float64 and float32."""
    model = build(name)
    cases = []
    for seed in range(batches):
        x = images(BATCH, 100 + seed)
        labels = torch.randint(0, 1000, (BATCH,), generator=torch.Generator().manual_seed(seed))
        cases.append((x, labels, autograd(model, x, labels)))
    model = model.double()
    return [(x, labels, autograd(model, x.double(), labels), single) for x, labels, single in cases]


def differentiate(buckler, model, out):
    """Seconds to write the gradient graph `out`."""
    started = time.perf_counter()
    try:
        done = subprocess.run([buckler, "differentiate", model, "--out", out], capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Refused("not differentiated within 600 s") from None
    if done.returncode != 0:
        raise Refused((done.stderr.strip() or f"exit code {done.returncode}").removeprefix("error: "))
    return seconds_since(started)


def open_session(graph):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no base class for its errors
        raise Refused(f"onnxruntime does not load the gradient graph: {error}") from None


def measure(buckler, path, cases):
    """The figures of one exported model, for the columns from `nodes of the gradient` on, and its median error."""
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "gradient.onnx"
        differentiated = differentiate(buckler, path, graph)
        nodes = len(onnx.load(graph, load_external_data=False).graph.node)
        session = open_session(graph)
    outputs = [information(session)["logits"], "gradient"]
    logits, ours, single, seconds, autograd_seconds = [], [], [], [], []
    for x, labels, (logits64, gradient64, _), (_, gradient32, seconds32) in cases:
        inputs = question(session, x.numpy(), labels.numpy())
        started = time.perf_counter()
        try:
            found = session.run(outputs, inputs)
        except Exception as error:
            raise Refused(f"onnxruntime does not run the gradient graph: {error}") from None
        seconds.append(seconds_since(started))
        autograd_seconds.append(seconds32)
        logits += errors(found[0], logits64)
        ours += errors(found[1], gradient64)
        single += errors(gradient32, gradient64)
    median = statistics.median(ours)
    figures = [f"{error:.1e}" for error in (statistics.median(logits), median, max(ours), statistics.median(single), max(single))]
    times = [f"{s:.2f}" for s in (differentiated, statistics.median(seconds), statistics.median(autograd_seconds))]
    return [str(nodes), *figures, *times], median


def row(cells):
    # A reason may hold what Markdown takes for the end of a cell.
    print("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=MODELS, help="names of the networks (default: %(default)s)")
    parser.add_argument("--models", type=Path, required=True, help="the folder that export.py wrote")
    parser.add_argument("--buckler", default="target/release/buckler", help="the executable")
    parser.add_argument("--exporter", choices=EXPORTERS, help="default: both")
    parser.add_argument("--batches", type=int, default=4, help=f"batches of {BATCH} random images")
    parser.add_argument("--limit", type=float, default=1e-4, help="of the median error of the gradients")
    args = parser.parse_args()

    row(COLUMNS)
    row(["---"] * 2 + ["--:"] * (len(COLUMNS) - 2))
    failures = []
    for name in args.names:
        paths = [args.models / f"{name}-{exporter}.onnx" for exporter in ([args.exporter] if args.exporter else EXPORTERS)]
        cases = reference(name, args.batches) if any(path.exists() for path in paths) else []
        for path in paths:
            cells = path.stem.rsplit("-", 1)
            try:
                if not path.exists():
                    raise Refused(f"{path} does not exist: export.py writes it")
                model = onnx.load(path, load_external_data=False)
                kinds = {node.op_type for node in model.graph.node} - {"Constant"}
                opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
                cells += [str(opset), str(len(kinds)), str(len(model.graph.node))]
                figures, median = measure(args.buckler, path, cases)
            except Refused as reason:
                failures.append(f"{path.stem}: {reason}")
                row(cells + ["–"] * (len(COLUMNS) - 1 - len(cells)) + [str(reason)])
            else:
                row(cells + figures)
                if not median <= args.limit:
                    failures.append(f"{path.stem}: the median error {median:.1e} of the gradient is above {args.limit:.0e}")
    for failure in failures:
        print(failure, file=sys.stderr)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
