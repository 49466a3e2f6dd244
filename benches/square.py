"""Square attack (Andriushchenko et al. 2020, linf, margin loss) on an ONNX classifier of MNIST or CIFAR-10.

A check from outside: NumPy and onnxruntime alone, no code of the project, no gradients.

    BUCKLER_DATA=DIR python benches/square.py models/mnist-he/1/model.onnx --eps 0.3 --limit 1000 --queries 5000
    BUCKLER_DATA=DIR python benches/square.py models/cifar10-he/1/model.onnx --data cifar10 --eps 8/255
"""

import argparse
import gzip
import os
import pathlib
from fractions import Fraction

import numpy as np
import onnxruntime

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--data", choices=["mnist", "cifar10"], default="mnist")
parser.add_argument("--eps", type=lambda text: float(Fraction(text)), required=True)
parser.add_argument("--limit", type=int, default=1000)
parser.add_argument("--queries", type=int, default=5000)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

folder = pathlib.Path(os.environ["BUCKLER_DATA"]) / args.data


def idx(name, header):
    return np.frombuffer(gzip.open(folder / name).read()[header:], np.uint8)


if args.data == "mnist":
    clean = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = idx("t10k-labels-idx1-ubyte.gz", 8)
else:
    rows = np.fromfile(folder / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    clean, labels = rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
clean = clean[: args.limit].astype(np.float32) / 255
labels = labels[: args.limit].astype(int)
channels, side = clean.shape[1:3]
session = onnxruntime.InferenceSession(args.model)
rng = np.random.default_rng(args.seed)


def margins(images, labels):
    """z_y - max_{i != y} z_i: negative where an image is misclassified."""
    parts = [session.run(["logits"], {"image": images[i : i + 256]})[0] for i in range(0, len(images), 256)]
    logits = np.concatenate(parts)
    rows = np.arange(len(logits))
    own = logits[rows, labels]
    logits[rows, labels] = -np.inf
    return own - logits.max(1)


def window(query):
    """The published schedule for 10 000 queries: the share of pixels halves at these queries."""
    halvings = sum(query > at for at in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return min(side - 1, max(1, round((0.8 / 2**halvings * side * side) ** 0.5)))


standing = margins(clean, labels) > 0
print(f"clean accuracy {standing.mean():.4f}")
clean, labels = clean[standing], labels[standing]
stripes = args.eps * rng.choice([-1, 1], size=(len(clean), channels, 1, side))
images = np.clip(clean + stripes, 0, 1).astype(np.float32)
margin = margins(images, labels)
for query in range(1, args.queries):
    standing = margin > 0
    clean, labels, images, margin = (x[standing] for x in (clean, labels, images, margin))
    if not len(clean):
        break
    width = window(query)
    corners = rng.integers(0, side - width + 1, size=(len(images), 2))
    signs = rng.choice([-1, 1], size=(len(images), channels, 1, 1))
    tried = images.copy()
    for row, ((y, x), sign) in enumerate(zip(corners, signs)):
        square = (row, slice(None), slice(y, y + width), slice(x, x + width))
        tried[square] = np.clip(clean[square] + args.eps * sign, 0, 1)
    after = margins(tried, labels)
    better = after < margin
    images[better], margin[better] = tried[better], after[better]
print(f"square linf eps={args.eps} queries={args.queries} seed={args.seed}: accuracy {(margin > 0).sum() / args.limit:.4f}")
