"""Predictions by HTTP: Buckler beside FastAPI, BentoML and MLServer, all on ONNX Runtime.

    for peer in fastapi bentoml mlserver; do python -m venv $peer && $peer/bin/pip install -r benches/peers/serving/requirements-$peer.txt; done
    cargo build --release
    fastapi/bin/python benches/peers/serving/run.py --model mnist-he --image seven.png --python fastapi=fastapi/bin/python \
        --python bentoml=bentoml/bin/python --python mlserver=mlserver/bin/python --markdown OUT.md

The same ONNX file, the same image, the same number of intra-op threads, the same cores, the same load. In every round each server
is started alone on a free port, asked once for the class of the image, which must be the one that Buckler says, and then put under
a closed loop with each number of connections. The image goes as the raw body; to BentoML as multipart, which its batches
need; to MLServer as base64 in the Open Inference Protocol's JSON, or as a JSON tensor, which is compared with the same tensor to
Buckler. Servers write no line for each request. Cores: half for the servers, half for the client, if there are several; with as
many threads as the servers have cores, shared out among a server's workers.

Figures are medians over the rounds, with the range of the throughput. They want an idle machine.
"""
import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from peers import HERE, PACKAGES, PEERS, Setting

ROOT = Path(__file__).parents[3]
START_SECONDS = 90


class Missing(Exception):
    """Why a server cannot take part."""


def free_port():
    """The first of three: MLServer wants one for gRPC and one for metrics, too."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for offset in (1, 2):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return port


def ask(url, body=None, content_type=None):
    headers = {"Content-Type": content_type} if content_type else {}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return answer.read()


@contextlib.contextmanager
def served(peer, port, setting, cores, log):
    """The server, from when it is ready; its whole process group is ended afterwards."""
    environment = {**os.environ, "PEER_MODEL": str(setting.file), "PEER_THREADS": str(setting.threads), **peer.environment}
    environment["PYTHONPATH"] = str(HERE)
    try:
        process = subprocess.Popen(
            peer.command,
            cwd=HERE,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    except OSError as error:
        raise Missing(f"{peer.command[0]}: {error.strerror}") from None
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                ask(f"http://127.0.0.1:{port}{peer.ready}")
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise Missing("it does not start: --log says why")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}{peer.path}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure(args, url, peer, connections, body):
    """One series of the load generator."""
    command = [*args.load, url, "--request", "raw", "--body", str(body), "--content-type", peer.content_type, "--json"]
    command += ["--connections", str(connections), "--duration", str(args.duration), "--warm-up", str(args.warm_up)]
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, args.client_cores)
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)["series"][0]["rounds"][0]


def turn(args, setting, peer, port, log, expected):
    """All that one server does in one round, by connections."""
    with served(peer, port, setting, args.server_cores, log) as url:
        try:
            classes = peer.classes(json.loads(ask(url, peer.body, peer.content_type)))
        except urllib.error.HTTPError as error:
            raise Missing(f"{peer.path} answers with {error.code}") from None
        if classes != (expected or classes):
            raise SystemExit(f"{peer.name} says class {classes}, and Buckler {expected}: nothing to compare")
        with tempfile.NamedTemporaryFile(dir=setting.scratch) as body:
            body.write(peer.body)
            body.flush()
            return classes, {n: measure(args, url, peer, n, body.name) for n in args.connections}


def compare(args, scratch):
    """Measurements by server and connections, and why others are missing."""
    setting = Setting(
        models=args.models.resolve(),
        model=args.model,
        image=args.image.read_bytes(),
        threads=len(args.server_cores),
        workers=args.workers,
        buckler=args.buckler.resolve(),
        pythons={peer: Path(python).absolute() for peer, python in args.python},
        scratch=scratch,
    )
    results, missing, expected = {}, {}, None
    log = open(args.log or os.devnull, "w")
    for number in range(args.rounds):
        for name in ["buckler", *(peer for peer in args.peers if peer != "buckler")]:
            port = free_port()
            for peer in PEERS[name](setting, port):
                if peer.name in missing:
                    continue
                print(f"round {number + 1} of {args.rounds}: {peer.name}", file=sys.stderr, flush=True)
                try:
                    classes, measured = turn(args, setting, peer, port, log, expected)
                except Missing as error:
                    missing[peer.name] = str(error)
                    continue
                expected = expected or classes
                for connections, figures in measured.items():
                    results.setdefault((peer.name, connections), []).append(figures)
    return results, missing, expected


def median(rounds, *keys):
    values = []
    for figures in rounds:
        for key in keys:
            figures = figures and figures[key]
        if figures is not None:
            values.append(figures)
    return statistics.median(values) if values else float("nan")


HEADER = """| connections | server | requests/s | range | p50 ms | p99 ms | not 2xx | buckler's requests/s / its | buckler's p99 / its |
|--:|---|--:|--:|--:|--:|--:|--:|--:|"""


def table(args, results):
    yield HEADER
    for connections in args.connections:
        peers = {name: rounds for (name, n), rounds in results.items() if n == connections}
        for name, rounds in peers.items():
            ours = peers.get("buckler, JSON tensor" if "JSON" in name else "buckler")
            throughput, p99 = median(rounds, "per_second"), median(rounds, "latency_ms", "p99")
            ratios = ["", ""]
            if ours and not name.startswith("buckler"):
                ratios = [median(ours, "per_second") / throughput, median(ours, "latency_ms", "p99") / p99]
                ratios = [f"{ratio:.2f}" for ratio in ratios]
            every = [figures["per_second"] for figures in rounds]
            failed = sum(figures["requests"] - figures["ok"] for figures in rounds)
            yield (
                f"| {connections} | {name} | {throughput:.0f} | {min(every):.0f} to {max(every):.0f} "
                f"| {median(rounds, 'latency_ms', 'p50'):.2f} | {p99:.2f} | {failed} | {ratios[0]} | {ratios[1]} |"
            )


def version(python, package):
    code = f"import importlib.metadata as m; print(m.version('{package}'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() or "not installed"


def about(args, results, missing, classes):
    versions = []
    for peer, packages in PACKAGES.items():
        if peer in args.peers:
            python = dict(args.python).get(peer, sys.executable)
            versions += [f"{package} {version(python, package)}" for package in [*packages, "onnxruntime"]]
    rounds = max((len(rounds) for rounds in results.values()), default=0)
    yield (
        f"{args.model}, {args.image.name} (class {', '.join(map(str, classes or []))} by all), {rounds} rounds of {args.duration:g} s after "
        f"{args.warm_up:g} s of warm-up, {len(args.server_cores)} threads and cores for the server, {len(args.client_cores)} for the client; "
        f"{', '.join(versions)}\n"
    )
    for name, reason in missing.items():
        yield f"Left out: {name}, {reason}\n"


def cores(text):
    chosen = {int(core) for core in text.split(",")}
    if not chosen <= os.sched_getaffinity(0):
        raise argparse.ArgumentTypeError(f"of the cores {text} this process may not use all")
    return chosen


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usable = sorted(os.sched_getaffinity(0))
    half = max(1, len(usable) // 2)
    listed = lambda some: ",".join(map(str, some))
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="folder of models (default: %(default)s)")
    parser.add_argument("--model", default="mnist-he", help="(default: %(default)s)")
    parser.add_argument("--image", type=Path, required=True, help="an image file")
    parser.add_argument("--peers", nargs="*", default=list(PACKAGES), choices=list(PACKAGES), help="(default: all)")
    parser.add_argument(
        "--python", action="append", default=[], type=lambda text: tuple(text.split("=", 1)), metavar="PEER=PYTHON",
        help="the Python into which a peer was installed (default: this one)",
    )
    parser.add_argument("--buckler", type=Path, default=ROOT / "target/release/buckler", help="(default: %(default)s)")
    parser.add_argument(
        "--load", type=lambda text: text.split(), metavar="COMMAND",
        help="the load generator (default: buckler bench-serve)",
    )
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32], help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=half, help="processes of FastAPI, beside one (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--duration", type=float, default=10, help="seconds (default: %(default)s)")
    parser.add_argument("--warm-up", type=float, default=3, help="seconds (default: %(default)s)")
    parser.add_argument("--server-cores", type=cores, default=listed(usable[:half]), help="(default: %(default)s)")
    parser.add_argument("--client-cores", type=cores, default=listed(usable[-half:]), help="(default: %(default)s)")
    parser.add_argument("--log", type=Path, help="what the servers print goes there")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="write the table there")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    args = parser.parse_args()
    for given in args.python:
        if len(given) != 2 or given[0] not in PACKAGES or not Path(given[1]).is_file():
            parser.error(f"--python {'='.join(given)}: write PEER=PYTHON, with one of {', '.join(PACKAGES)} and a file")
    for path in (args.image, args.buckler, args.models / args.model / "1/model.onnx"):
        if not path.is_file():
            parser.error(f"{path} does not exist")
    args.load = args.load or [str(args.buckler), "bench-serve"]
    return args


def main():
    args = parse()
    with tempfile.TemporaryDirectory() as scratch:
        results, missing, classes = compare(args, Path(scratch))
    text = "\n".join([*about(args, results, missing, classes), *table(args, results)])
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n")
    if args.json:
        rows = [{"server": name, "connections": n, "rounds": rounds} for (name, n), rounds in results.items()]
        args.json.write_text(json.dumps({"rows": rows, "missing": missing}, indent=1))


if __name__ == "__main__":
    main()
