"""Seconds of one PGD-10 training step, Buckler against PyTorch, on the same device, in turns.

    pip install torch numpy
    cargo build --release
    python benches/peers/training_step.py --data cifar10:DIR
    python benches/peers/training_step.py --data cifar10:DIR --device cuda:0 --precision bf16 --compile --batch 128 \\
        --networks preact-resnet-18 wrn-34-10

Both craft with batch norm in evaluation mode and without weight gradients, then take one SGD step. A round runs both, one
after the other; the figures are the medians over the rounds and the median of the rounds' ratios.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

EPS, STEP, STEPS = 8 / 255, 2 / 255, 10


class SmallCnn(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(a, b, 3) for a, b in [(channels, 32), (32, 32), (32, 64), (64, 64)]])
        self.hidden1, self.hidden2, self.fc = nn.Linear(1600, 200), nn.Linear(200, 200), nn.Linear(200, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.convs[1](F.relu(self.convs[0](x)))), 2)
        x = F.max_pool2d(F.relu(self.convs[3](F.relu(self.convs[2](x)))), 2)
        return self.fc(F.relu(self.hidden2(F.relu(self.hidden1(x.flatten(1))))))


class Block(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inp), nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(out), nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.shortcut = None if stride == 1 and inp == out else nn.Conv2d(inp, out, 1, stride, bias=False)

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return out + (x if self.shortcut is None else self.shortcut(activated))


class PreAct(nn.Module):
    """PreActResNet-18, or a WRN, which has the same blocks."""

    def __init__(self, stem, widths, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        layers, inp = [], stem
        for i, width in enumerate(widths):
            for j in range(blocks):
                layers.append(Block(inp, width, 2 if i > 0 and j == 0 else 1))
                inp = width
        self.layers, self.bn, self.fc = nn.Sequential(*layers), nn.BatchNorm2d(inp), nn.Linear(inp, 10)

    def forward(self, x):
        return self.fc(F.relu(self.bn(self.layers(self.conv1(x)))).mean((2, 3)))


NETWORKS = {
    "small-cnn": (lambda: SmallCnn(3), '{ kind = "small-cnn" }', 128),
    "wrn-10-2": (lambda: PreAct(16, [32, 64, 128], 1), '{ kind = "wide-resnet", depth = 10, width = 2 }', 128),
    "wrn-34-10": (lambda: PreAct(16, [160, 320, 640], 5), '{ kind = "wide-resnet", depth = 34, width = 10 }', 128),
    "preact-resnet-18": (lambda: PreAct(64, [64, 128, 256, 512], 2), '{ kind = "preact-resnet", depth = 18 }', 32),
}


def pytorch(args, build, batch):
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as Burn's kernels do
    device = torch.device(args.device.split(",")[0])
    model = build().to(device)
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    forward = torch.compile(model) if args.compile else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    x, y = torch.rand(batch, 3, 32, 32, device=device), torch.randint(0, 10, (batch,), device=device)

    def loss(images):
        with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16"):
            logits = forward(images)
        return F.cross_entropy(logits.float(), y)

    def step():
        model.eval()
        for p in model.parameters():
            p.requires_grad_(False)
        adv = (x + torch.empty_like(x).uniform_(-EPS, EPS)).clamp(0, 1)
        for _ in range(STEPS):
            adv.requires_grad_(True)
            (g,) = torch.autograd.grad(loss(adv), adv)
            adv = (x + (adv.detach() + STEP * g.sign() - x).clamp(-EPS, EPS)).clamp(0, 1)
        model.train()
        for p in model.parameters():
            p.requires_grad_(True)
        optimizer.zero_grad()
        loss(adv).backward()
        optimizer.step()

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    wait()
    started = time.perf_counter()
    for _ in range(args.steps):
        step()
    wait()
    return (time.perf_counter() - started) / args.steps


def buckler(args, network, batch):
    recipe = f"""
base = "cifar10-pgd-at"
name = "step"
network = {network}
augmentation = {{ pad = 0, flip = false }}
[training]
epochs = 2
batch_size = {batch}
images = {batch * args.steps}
precision = "{args.precision}"
[optimizer]
learning_rate = 0.01
[validation]
images = 1
steps = 1
"""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "recipe.toml", Path(folder) / "run"
        path.write_text(recipe)
        command = [args.binary, "train", str(path), "--data", args.data, "--device", args.device, "--out", str(out)]
        quiet = {**os.environ, "BUCKLER_LOG": "error"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=quiet)
        # The second epoch: the first one warms up. Its validation is one image.
        return json.loads((out / "run.json").read_text())["epochs"][1]["seconds"] / args.steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="cifar10:DIR")
    parser.add_argument("--binary", default="target/release/buckler")
    parser.add_argument("--device", default="cpu", help="as of buckler train; PyTorch takes the first")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--batch", type=int, help="images per step, instead of each network's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    usual = [name for name in NETWORKS if name != "wrn-34-10"]
    parser.add_argument("--networks", nargs="*", default=usual, choices=list(NETWORKS))
    args = parser.parse_args()
    mode = "compiled" if args.compile else "eager"
    print(f"{args.device} {args.precision}; torch {torch.__version__} {mode}, {torch.get_num_threads()} threads")
    for name in args.networks:
        build, toml, usual_batch = NETWORKS[name]
        batch = args.batch or usual_batch
        rounds = [(buckler(args, toml, batch), pytorch(args, build, batch)) for _ in range(args.rounds)]
        ours, theirs = (statistics.median(r[i] for r in rounds) for i in (0, 1))
        ratio = statistics.median(a / b for a, b in rounds)
        print(f"{name} batch {batch}: buckler {ours:.2f} s, PyTorch {theirs:.2f} s, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
