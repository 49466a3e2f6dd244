"""Robust accuracy, agreement and cost of the attacks of `buckler evaluate` beside those of the attack libraries.

    pip install numpy onnx onnxruntime onnx2torch torch torchattacks foolbox adversarial-robustness-toolbox multiprocess \
        pyautoattack
    cargo build --release
    python benches/peers/attacks.py --model models/mnist-he/1/model.onnx --data mnist --dir DIR --eps 0.3 --limit 200
    python benches/peers/attacks.py --model model.onnx --data cifar10 --dir DIR --eps 8/255 --attacks apgd-t autoattack --threads 1

The same weights (the ONNX file, turned into a PyTorch module), the same first test images and the same parameters for all. The
module's logits must agree with ONNX Runtime's, and its gradients with difference quotients of ONNX Runtime's logits, before
anything runs. No tool is believed: an image counts as broken when it is misclassified as it is, or when what the tool
returned lies in the ball and the box and is misclassified by ONNX Runtime. What floating point has pushed out of
the ball (by at most a ten-thousandth of the radius) is pulled back first; what lies further out does not count, and is reported.

The libraries attack only what is classified correctly, in batches of --batch, with no weight that wants a gradient. Times are those of the
attacks, ours with the forward pass before and the re-check after.
The tools take turns (ours, A, B, ..., ours, A, B, ..., ours), up to --rounds times and for at most about --seconds for
an attack, but at least once; times are medians. Times want an idle machine. The last of our runs draws from the seed after --seed: how far it
agrees with the first one says how much of a disagreement is chance.

Gradients are rows of backward passes, forwards are rows of forward passes that no backward pass followed, both per image.
`autoattack` of ART is another ensemble (APGD-CE, APGD-DLR, DeepFool, Square); `torchattacks, as shipped` has 10 iterations.
"""
import argparse
import contextlib
import importlib.metadata
import io
import json
import math
import os
import statistics
import subprocess
import sys
import time
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from attack_libraries import ATTACKS, PACKAGES, PEERS, USUAL, Task
from attack_victim import cifar10, judged, load, mnist

ROOT = Path(__file__).parents[2]
OURS = "buckler"


def radius(text):
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"`{text}` is no radius: write a number or a fraction, such as 8/255") from None
    if not 0 < value:
        raise argparse.ArgumentTypeError(f"a radius of {text} holds no other image: it must be above 0")
    return text


def numbers(text):
    return [float(value) for value in text.split(",")]


class Buckler:
    """`buckler evaluate` in a process of its own."""

    def __init__(self, args, labels):
        self.args, self.labels = args, labels

    def command(self, task, eps, limit, seed=None):
        """Of one evaluation; `seed` instead of --seed."""
        args = self.args
        command = [str(args.buckler), "evaluate", str(args.model), "--data", f"{args.data}:{args.dir}", "--eps", eps]
        command += ["--attack", task.kind, "--norm", task.norm, "--limit", str(limit), "--json"]
        if task.draws:
            command += ["--seed", str(args.seed if seed is None else seed)]
        for flag in task.flags:
            command += [f"--{flag.split('-', 1)[1] if flag in ('cw-steps', 'spsa-steps') else flag}", str(task.values[flag])]
        if args.mean != [0.0] or args.std != [1.0]:
            command += ["--mean", ",".join(map(str, args.mean)), "--std", ",".join(map(str, args.std))]
        return command

    def evaluation(self, command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BUCKLER_LOG": "error"})
        except OSError as error:
            raise SystemExit(f"{command[0]}: {error.strerror}: build it (cargo build --release) or name it (--buckler)") from None
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout)["evaluations"][0]

    def run(self, task, seed=None):
        evaluation = self.evaluation(self.command(task, task.eps_text, len(self.labels), seed))
        samples = evaluation["samples"]
        if [sample["label"] for sample in samples] != self.labels.tolist():
            raise SystemExit(f"{self.args.data}: buckler has read other labels than this script; are the files the same?")
        images = evaluation["images"]
        return evaluation["seconds"], {
            "broken": np.array([sample["broken"] for sample in samples]),
            "gradients": evaluation["gradient_evaluations"] / images,
            "forwards": evaluation["forward_evaluations"] / images,
        }

    def distances(self, task):
        """How far the closest adversarials lie, whatever the radius."""
        eps = 1.0 if task.norm == "linf" else math.floor(10 * math.sqrt(math.prod(task.shape))) / 10
        samples = self.evaluation(self.command(task, str(eps), len(self.labels)))["samples"]
        return np.array([np.nan if sample[task.norm] is None else sample[task.norm] for sample in samples])


@contextlib.contextmanager
def silence():
    """The libraries' progress bars and warnings."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Peer:
    def __init__(self, task, attack, x, y, clean_wrong, runtime):
        self.task, self.attack, self.x, self.y, self.clean_wrong, self.runtime = task, attack, x, y, clean_wrong, runtime

    def run(self):
        task, model = self.task, self.task.model
        torch.manual_seed(task.args.seed)
        np.random.seed(task.args.seed % 2**32)
        images, labels = (torch.from_numpy(values[~self.clean_wrong]) for values in (self.x, self.y))
        model.reset()
        started = time.perf_counter()
        with silence():
            parts = [
                self.attack(a.clone(), b.clone()) for a, b in zip(images.split(task.args.batch), labels.split(task.args.batch))
            ]
        seconds = time.perf_counter() - started
        counted = {"gradients": model.gradients / len(self.x), "forwards": model.forwards / len(self.x)}
        adversarial = self.x.copy()
        if parts:
            adversarial[~self.clean_wrong] = torch.cat(parts).detach().numpy()
        return seconds, {**judged(task, self.runtime, self.x, self.y, self.clean_wrong, adversarial), **counted}


def compare(task, args, buckler, tools, data, runtime):
    """Rows of the table for one attack."""
    x, y, clean_wrong = data
    runners, missing = {OURS: lambda: buckler.run(task)}, {}
    for tool in tools:
        try:
            with silence():
                made = {name: make() for name, make in PEERS[tool](task).items()}
        except ImportError as error:
            missing[tool] = f"{error}: pip install {PACKAGES[tool]}"
            continue
        for name, attack in made.items():
            runners[name] = Peer(task, attack, x, y, clean_wrong, runtime).run
    times, found = {name: [] for name in runners}, {}
    started, rounds = time.perf_counter(), 0
    while rounds < args.rounds and (rounds == 0 or time.perf_counter() - started < args.seconds):
        for name, run in list(runners.items()):
            if name in missing:
                continue
            try:
                seconds, result = run()
            except Exception as error:
                missing[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                continue
            times[name].append(seconds)
            found.setdefault(name, result)
        rounds += 1
    seconds, again = buckler.run(task, args.seed + 1)
    times[OURS].append(seconds)
    if task.closest:
        found[OURS]["distances"] = buckler.distances(task)
    rows = []
    ours, own_time = found[OURS], statistics.median(times[OURS])
    for name, result in found.items():
        seconds = statistics.median(times[name])
        row = {
            "attack": task.name,
            "draws": task.draws,
            "parameters": task.parameters(),
            "tool": name,
            "robust accuracy": float(1 - result["broken"].mean()),
            "agreement": float(((again if name == OURS else result)["broken"] == ours["broken"]).mean()),
            "only ours breaks": np.flatnonzero(ours["broken"] & ~result["broken"]).tolist(),
            "only theirs breaks": np.flatnonzero(result["broken"] & ~ours["broken"]).tolist(),
            "seconds per image": seconds / len(x),
            "times": times[name],
            "ratio": seconds / own_time,
            "gradients": result["gradients"],
            "forwards": result["forwards"],
        }
        for flaw in ("outside", "out of the box", "not finite"):
            if result.get(flaw):
                row[flaw] = result[flaw]
        if task.closest:
            both = ~np.isnan(result["distances"]) & ~np.isnan(ours["distances"])
            row["found"] = int((~np.isnan(result["distances"])).sum())
            if both.any():
                row["mean distance"] = float(result["distances"][both].mean())
                row["ours on the same"] = float(ours["distances"][both].mean())
        rows.append(row)
    return rows, missing, rounds


HEADER = (
    "| attack | parameters | tool | robust accuracy | agrees with ours | only ours / only theirs breaks | gradients | forwards "
    "| ms per image | time / ours |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|"
)


def show(rows, missing, versions):
    for row in rows:
        ours = row["tool"] == OURS
        package, *rest = row["tool"].split(", ")
        tool = ", ".join([package if ours else f"{package} {versions[package]}", *rest])
        accuracy = f"{row['robust accuracy']:.1%}"
        remarks = [f"{row[flaw]} {flaw}" for flaw in ("outside", "out of the box", "not finite") if flaw in row]
        if "mean distance" in row:
            same = "" if ours else f", ours on the same {row['ours on the same']:.4f}"
            remarks.append(f"{row['found']} found at a mean distance of {row['mean distance']:.4f}{same}")
        if remarks:
            accuracy += f" ({'; '.join(remarks)})"
        cells = [row["attack"] if ours else "", row["parameters"] if ours else "", tool, accuracy]
        cells.append("" if ours and not row["draws"] else f"{row['agreement']:.1%}" + (" (next seed)" if ours else ""))
        cells.append("" if ours else f"{len(row['only ours breaks'])} / {len(row['only theirs breaks'])}")
        cells += [f"{row['gradients']:.1f}", f"{row['forwards']:.1f}", f"{1e3 * row['seconds per image']:.2f}"]
        cells.append("" if ours else f"{row['ratio']:.2f}")
        print("| " + " | ".join(cells) + " |")
    for name, reason in missing.items():
        print(f"| | | {name} | {reason} | | | | | | |")
    sys.stdout.flush()


def cores():
    """Those this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def restrict(threads):
    """This process and those it starts run on so many cores."""
    if threads == len(cores()):
        return
    if threads > len(cores()) or not hasattr(os, "sched_setaffinity"):
        raise SystemExit(
            f"--threads {threads}: this process has {len(cores())} cores, and only Linux lets it give some of them up"
        )
    os.sched_setaffinity(0, cores()[:threads])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the classifier, an ONNX file")
    parser.add_argument("--data", required=True, choices=["mnist", "cifar10"])
    parser.add_argument(
        "--dir", type=Path, required=True, help="the folder of the IDX files or of the binary version of CIFAR-10"
    )
    parser.add_argument("--eps", type=radius, required=True, help="radius of the attacks for linf, such as 8/255")
    parser.add_argument("--eps-l2", type=radius, help="of those for l2 (default: 2 for mnist, 128/255 for cifar10)")
    parser.add_argument("--limit", type=int, default=200, help="the first so many test images (default: %(default)s)")
    parser.add_argument("--mean", type=numbers, default=[0.0], help="subtracted from the pixels, for each channel or for all")
    parser.add_argument("--std", type=numbers, default=[1.0], help="by which they are divided then")
    parser.add_argument("--attacks", nargs="+", default=USUAL, choices=list(ATTACKS), help="(default: %(default)s)")
    parser.add_argument("--tools", nargs="*", default=list(PEERS), choices=list(PEERS), help="beside ours (default: all)")
    parser.add_argument("--cw-steps", type=int, default=100, help="of each search of cw (default: %(default)s)")
    parser.add_argument("--spsa-steps", type=int, default=5, help="of spsa, 4096 forwards each (default: %(default)s)")
    parser.add_argument("--buckler", default=ROOT / "target/release/buckler", help="the executable (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(cores()), help="cores for each tool (default: all, %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="images that the libraries attack at a time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="at most, for each attack (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=30, help="no further round of an attack after these (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    args = parser.parse_args()
    args.eps_l2 = args.eps_l2 or {"mnist": "2", "cifar10": "128/255"}[args.data]
    for name in ("limit", "threads", "batch", "rounds", "cw_steps", "spsa_steps"):
        if getattr(args, name) < 1:
            raise SystemExit(f"--{name.replace('_', '-')} {getattr(args, name)}: at least 1 is needed")
    if not args.model.is_file():
        raise SystemExit(f"{args.model} does not exist")
    restrict(args.threads)
    torch.set_num_threads(args.threads)

    pixels, labels = {"mnist": mnist, "cifar10": cifar10}[args.data](args.dir, args.limit)
    x, y = pixels.astype(np.float32) / np.float32(255), labels.astype(np.int64)
    model, runtime = load(args, x, y)
    logits = runtime.logits(x)
    clean_wrong = logits.argmax(1) != y
    versions, tools = {}, []
    for tool in args.tools:
        try:
            versions[tool] = importlib.metadata.version(PACKAGES[tool])
            tools.append(tool)
        except importlib.metadata.PackageNotFoundError:
            print(f"{tool} is not installed and takes no part: pip install {PACKAGES[tool]}", file=sys.stderr)
    about = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, **versions}
    print(
        f"{args.model.name}, {len(x)} images of {args.data}, clean accuracy {1 - clean_wrong.mean():.1%}, {args.threads} threads, "
        f"seed {args.seed}; " + ", ".join(f"{name} {version}" for name, version in about.items()) + f"\n\n{HEADER}",
        flush=True,
    )
    buckler = Buckler(args, y)
    report = {"versions": about, "clean accuracy": float(1 - clean_wrong.mean()), "images": len(x), "rows": [], "missing": {}}
    for name in args.attacks:
        task = Task(name, args, model, x.shape[1:], logits.shape[1])
        rows, missing, rounds = compare(task, args, buckler, tools, (x, y, clean_wrong), runtime)
        show(rows, missing, versions)
        report["rows"] += [{**row, "rounds": rounds} for row in rows]
        report["missing"][name] = missing
        if args.json:
            args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
