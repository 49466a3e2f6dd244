"""Input gradients and PGD on the CPU: the gradient graph in onnxruntime against PyTorch and the attack libraries.

    pip install numpy onnx onnxruntime pillow torch torchvision torchattacks foolbox adversarial-robustness-toolbox
    cargo build --release
    python benches/peers/gradient.py                       # an hour or two on two cores
    python benches/peers/gradient.py --quick               # does everything work? The figures say little
    python benches/peers/gradient.py --networks resnet-18 --batches 1 --threads 1 --what gradient

Two comparisons, on the same random weights and images: one gradient of cross-entropy with respect to the image, and linf PGD
without random start (same eps, step size and number of steps for all). Before anything is timed all gradients are compared
with those of PyTorch, and all attacks must end at about the same loss. No weight wants a gradient, which spares foolbox and
ART some work; ours is a loop in Python over an onnxruntime session that takes and gives NumPy arrays.

The runners take turns (A B C A B C ...), a multiplication of two matrices among them. Times are medians over the rounds with
the quartiles, of the processor time of the process and of the clock on the wall; a ratio is that of the medians, with the
quartiles of the ratios of the single rounds. Processor time suffers less from a machine that is busy otherwise; with more
threads than one it also counts threads that spin while they wait, so there the wall counts, on an idle machine. GFLOP/s count
two operations per multiplication and addition of the convolutions and matrix products, forward and back to the image.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "examples"), str(ROOT / "tests/torchvision")]
from export import build, images, prepare, write
from pgd import information, question

EPS, STEPS = 8 / 255, 20
STEP = 2.5 * EPS / STEPS
OURS, EAGER, FOLDED, SGEMM = "gradient.onnx", "torch", "torch, BN folded, channels_last", "sgemm"
LEAST_ROUNDS = 3


def resnet18():
    """ResNet-18 as usual for 32x32 images and 10 classes: a 3x3 stem of stride 1 and no pooling after it."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None, num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return prepare(model, 32)


NETWORKS = {"resnet-18": (resnet18, 32), "resnet-50": (lambda: build("resnet50"), 224)}


class Missing(Exception):
    """Why a runner cannot take part."""


def operations(model, size):
    """Floating-point operations of one image's gradient: each layer once forward and once back to its input."""
    products = 0

    def count(layer, _, out):
        nonlocal products
        products += out[0].numel() * layer.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return 2 * 2 * products


def fold(model):
    from torch.fx.experimental.optimization import fuse

    return fuse(model).requires_grad_(False).to(memory_format=torch.channels_last)


def autograd(model, x, labels):
    def gradient():
        image = x.detach().requires_grad_(True)
        loss = F.cross_entropy(model(image), labels, reduction="sum")
        return torch.autograd.grad(loss, image)[0]

    return gradient


def compiled(folded, threads):
    torch._dynamo.reset()
    import torch._inductor.config as inductor

    inductor.cpp.threads = threads  # code is compiled for a number of threads
    return torch.compile(folded, dynamic=False)


def ours_gradient(session, x, labels):
    inputs, outputs = question(session, x, labels), [information(session)["logits"], "gradient"]
    return lambda: session.run(outputs, inputs)[1]


def ours_pgd(session, x, labels):
    inputs, image = question(session, x, labels), information(session)["image"]
    eps, step = np.float32(EPS), np.float32(STEP)

    def attack():
        low, high = np.maximum(x - eps, 0), np.minimum(x + eps, 1)
        adversarial = x
        for _ in range(STEPS):
            (gradient,) = session.run(["gradient"], {**inputs, image: adversarial})
            adversarial = np.clip(adversarial + step * np.sign(gradient), low, high)
        return adversarial

    return attack


def torchattacks_pgd(model, x, labels):
    try:
        import torchattacks
    except ImportError:
        raise Missing("not installed: pip install torchattacks") from None
    attack = torchattacks.PGD(model, eps=EPS, alpha=STEP, steps=STEPS, random_start=False)
    return lambda: attack(x, labels)


def foolbox_pgd(model, x, labels):
    try:
        import foolbox
    except ImportError:
        raise Missing("not installed: pip install foolbox") from None
    victim = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
    return lambda: attack(victim, x, labels, epsilons=EPS)[1]


def art_pgd(model, x, labels, classes):
    try:
        from art.attacks.evasion import ProjectedGradientDescentPyTorch
        from art.estimators.classification import PyTorchClassifier
    except ImportError:
        raise Missing("not installed: pip install adversarial-robustness-toolbox") from None
    loss = nn.CrossEntropyLoss()
    victim = PyTorchClassifier(model, loss, tuple(x.shape[1:]), classes, clip_values=(0, 1), device_type="cpu")
    attack = ProjectedGradientDescentPyTorch(
        victim, eps=EPS, eps_step=STEP, max_iter=STEPS, num_random_init=0, batch_size=len(x), verbose=False
    )
    x, labels = x.numpy(), labels.numpy()
    return lambda: attack.generate(x, labels)


def gradient_runners(network, x, labels, threads):
    model, folded, session, _ = network
    wide = x.to(memory_format=torch.channels_last)
    yield OURS, lambda: ours_gradient(session, x.numpy(), labels.numpy())
    yield EAGER, lambda: autograd(model, x, labels)
    yield FOLDED, lambda: autograd(folded, wide, labels)
    yield "torch.compile of that", lambda: autograd(compiled(folded, threads), wide, labels)


def pgd_runners(network, x, labels, threads):
    model, folded, session, classes = network
    yield OURS, lambda: ours_pgd(session, x.numpy(), labels.numpy())
    yield "torchattacks", lambda: torchattacks_pgd(model, x, labels)
    yield "torchattacks, BN folded, channels_last", lambda: torchattacks_pgd(
        folded, x.to(memory_format=torch.channels_last), labels
    )
    yield "foolbox", lambda: foolbox_pgd(model, x, labels)
    yield "ART", lambda: art_pgd(model, x, labels, classes)


def same_gradients(results):
    """The largest relative L2 error, over images (the median) and runners, against PyTorch's eager gradients."""
    truth = results[EAGER].flatten(1)
    worst = 0.0
    for name, found in results.items():
        error = ((found.flatten(1) - truth).norm(dim=1) / truth.norm(dim=1)).median().item()
        if not error < 1e-4:
            raise SystemExit(f"{name}: the gradient differs from PyTorch's by {error:.1e}; nothing is timed")
        worst = max(worst, error)
    return {"largest median error of a gradient": worst}


def same_losses(model, x, labels, results):
    """The mean loss before and after each attack."""

    def loss(images):
        with torch.no_grad():
            return F.cross_entropy(model(images), labels).item()

    clean, losses = loss(x), {name: loss(found) for name, found in results.items()}
    for name, after in losses.items():
        distance = (results[name] - x).abs().max().item()
        if distance > EPS + 1e-6:
            raise SystemExit(f"{name}: went {distance:.4g} far, beyond eps {EPS:.4g}; nothing is timed")
        if not abs(after - losses[OURS]) <= 0.05 * (losses[OURS] - clean):
            raise SystemExit(f"{name}: the loss rose from {clean:.3g} to {after:.3g}, ours to {losses[OURS]:.3g}; nothing is timed")
    return {"clean loss": clean, "losses": losses}


def sgemm(size):
    a, b = torch.rand(size, size), torch.rand(size, size)
    return (lambda: torch.mm(a, b)), 2 * size**3


def timed(run):
    time.sleep(0.02)  # threads of the runner before may still be spinning
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high}


def compare(runners, check, flops, args):
    """Times the runners in turns and returns a table of figures; `check` sees what each of them computes first."""
    ready, missing, results = {}, {}, {}
    for name, make in runners:
        try:
            ready[name] = make()
            results[name] = torch.as_tensor(ready[name]()).detach()
        except Missing as reason:
            missing[name] = str(reason)
        except Exception as error:
            if name in (OURS, EAGER):
                raise
            missing[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if name in missing:
            ready.pop(name, None)
    checked = check(results)
    del results
    ready[SGEMM], sgemm_flops = sgemm(512 if args.quick else 2048)
    ready[SGEMM]()
    times = {name: [] for name in ready}
    started = time.perf_counter()
    rounds = 0
    while rounds < args.rounds and (rounds < LEAST_ROUNDS or time.perf_counter() - started < args.seconds):
        for name, run in ready.items():
            times[name].append(timed(run))
        rounds += 1
    table = {"rounds": rounds, "check": checked, "missing": missing, "runners": {}}
    for name, measured in times.items():
        figures = {}
        for clock, kind in enumerate(("cpu", "wall")):
            own, ours = [t[clock] for t in measured], [t[clock] for t in times[OURS]]
            ratios = spread([a / b for a, b in zip(own, ours)])
            ratios["median"] = statistics.median(own) / statistics.median(ours)
            rate = (sgemm_flops if name == SGEMM else flops) / statistics.median(own) / 1e9
            figures[kind] = {"seconds": spread(own), "ratio": ratios, "gflops": rate}
        table["runners"][name] = figures
    for figures in table["runners"].values():
        for kind in ("cpu", "wall"):
            figures[kind]["of sgemm"] = figures[kind]["gflops"] / table["runners"][SGEMM][kind]["gflops"]
    return table


def milliseconds(figures):
    median, low, high = (1e3 * figures[key] for key in ("median", "low", "high"))
    digits = 2 if median < 100 else 0
    return f"{median:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def ratio(figures):
    return f"{figures['median']:.2f} ({figures['low']:.2f}–{figures['high']:.2f})"


def show(title, table):
    check = table["check"]
    print(f"\n{title}, {table['rounds']} rounds")
    if "losses" in check:
        losses = ", ".join(f"{name} {loss:.3f}" for name, loss in check["losses"].items())
        print(f"mean loss {check['clean loss']:.3f} before; after: {losses}")
    else:
        print(f"gradients differ by {check['largest median error of a gradient']:.1e} at most")
    print("\n| | CPU ms | / ours | wall ms | / ours | GFLOP/s by CPU | of sgemm |\n|---|--:|--:|--:|--:|--:|--:|")
    for name, figures in table["runners"].items():
        cpu, wall = figures["cpu"], figures["wall"]
        same = name == SGEMM
        cells = [milliseconds(cpu["seconds"]), "" if same else ratio(cpu["ratio"])]
        cells += [milliseconds(wall["seconds"]), "" if same else ratio(wall["ratio"])]
        print(f"| {name} | " + " | ".join(cells) + f" | {cpu['gflops']:.1f} | {cpu['of sgemm']:.0%} |")
    for name, reason in table["missing"].items():
        print(f"| {name} | {reason} | | | | | |")
    sys.stdout.flush()


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def differentiated(model, size, buckler, folder):
    """The path of the gradient graph of a PyTorch network."""
    path, graph = folder / "model.onnx", folder / "gradient.onnx"
    write(model, "torchscript", path, size)
    try:
        done = subprocess.run([buckler, "differentiate", path, "--out", graph], capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit(f"{buckler} does not exist: build it (cargo build --release) or name it (--buckler)") from None
    if done.returncode != 0:
        raise SystemExit(f"buckler differentiate: {done.stderr.strip()}")
    return graph


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--buckler", default=ROOT / "target/release/buckler", help="the executable (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of both runtimes (default: 1, then 2)")
    parser.add_argument("--what", nargs="+", default=["gradient", "pgd"], choices=["gradient", "pgd"])
    parser.add_argument("--rounds", type=int, default=21, help="at most (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=120, help=f"no further round after these, but {LEAST_ROUNDS} (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="resnet-18, batch 2, one thread, three rounds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    args = parser.parse_args()
    if args.quick:
        args.networks, args.batches, args.threads, args.rounds = ["resnet-18"], [2], [1], LEAST_ROUNDS

    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "onnxruntime": onnxruntime.__version__}
    report = {"processor": processor(), "versions": versions, "eps": EPS, "step": STEP, "steps": STEPS, "tables": []}
    if not args.json:
        print(f"{report['processor']}; " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    for name in args.networks:
        make, size = NETWORKS[name]
        model = make().requires_grad_(False)
        folded = fold(model)
        flops = operations(model, size)
        with tempfile.TemporaryDirectory() as folder:
            graph = differentiated(model, size, args.buckler, Path(folder)).read_bytes()
        for threads in args.threads:
            torch.set_num_threads(threads)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            for batch in args.batches:
                x = images(batch, 7, size)
                with torch.no_grad():
                    logits = model(x)
                labels = logits.argmax(1)
                network = (model, folded, session, logits.shape[1])
                for what in args.what:
                    if what == "gradient":
                        runners, check, times = gradient_runners, same_gradients, 1
                    else:
                        runners, times = pgd_runners, STEPS
                        check = lambda results: same_losses(model, x, labels, results)
                    table = compare(runners(network, x, labels, threads), check, flops * batch * times, args)
                    table.update(network=name, what=what, batch=batch, threads=threads, flops=flops * batch * times)
                    report["tables"].append(table)
                    if not args.json:
                        title = "one gradient" if what == "gradient" else f"PGD-{STEPS} linf 8/255"
                        show(f"**{name}, {size}x{size}, {title}, batch {batch}, {threads} thread{'s' * (threads > 1)}**", table)
    if args.json:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
