"""Seconds of one PGD-10 training step, Buckler against PyTorch eager, on the same CPU, in turns.

    pip install torch numpy
    cargo build --release
    python benches/peers/training_step.py --data cifar10:DIR

Both craft with batch norm in evaluation mode and without weight gradients, then take one SGD step. A round runs both, one
after the other; the figures are the medians over the rounds and the median of the rounds' ratios.
"""
import argparse
import json
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
    """PreActResNet-18, or WRN-10-k, which has the same blocks."""

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
    "preact-resnet-18": (lambda: PreAct(64, [64, 128, 256, 512], 2), '{ kind = "preact-resnet", depth = 18 }', 32),
}


def pytorch(build, batch, steps):
    torch.manual_seed(0)
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    x, y = torch.rand(batch, 3, 32, 32), torch.randint(0, 10, (batch,))

    def step():
        model.eval()
        for p in model.parameters():
            p.requires_grad_(False)
        adv = (x + torch.empty_like(x).uniform_(-EPS, EPS)).clamp(0, 1)
        for _ in range(STEPS):
            adv.requires_grad_(True)
            (g,) = torch.autograd.grad(F.cross_entropy(model(adv), y), adv)
            adv = (x + (adv.detach() + STEP * g.sign() - x).clamp(-EPS, EPS)).clamp(0, 1)
        model.train()
        for p in model.parameters():
            p.requires_grad_(True)
        optimizer.zero_grad()
        F.cross_entropy(model(adv), y).backward()
        optimizer.step()

    step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


def buckler(binary, device, data, network, batch, steps):
    recipe = f"""
base = "cifar10-pgd-at"
name = "step"
network = {network}
augmentation = {{ pad = 0, flip = false }}
[training]
epochs = 2
batch_size = {batch}
images = {batch * steps}
[optimizer]
learning_rate = 0.01
[validation]
images = 1
steps = 1
"""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "recipe.toml", Path(folder) / "run"
        path.write_text(recipe)
        command = [binary, "train", str(path), "--data", data, "--device", device, "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        # The second epoch: the first one warms up. Its validation is one image.
        return json.loads((out / "run.json").read_text())["epochs"][1]["seconds"] / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="cifar10:DIR")
    parser.add_argument("--binary", default="target/release/buckler")
    parser.add_argument("--device", default="cpu", help="as of buckler train; `cpu,cpu` shares a batch between two threads")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; buckler on {args.device}")
    for name in args.networks:
        build, toml, batch = NETWORKS[name]
        rounds = [
            (buckler(args.binary, args.device, args.data, toml, batch, args.steps), pytorch(build, batch, args.steps))
            for _ in range(args.rounds)
        ]
        ours, theirs = (statistics.median(r[i] for r in rounds) for i in (0, 1))
        ratio = statistics.median(a / b for a, b in rounds)
        print(f"{name} batch {batch}: buckler {ours:.2f} s, PyTorch {theirs:.2f} s, ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
