"""Square attack (Andriushchenko et al. 2020, linf, margin loss) on an ONNX classifier of MNIST.

A check from outside: NumPy and onnxruntime alone, no code of the project, no gradients.

    BUCKLER_DATA=DIR python benches/square.py models/mnist-he/1/model.onnx --eps 0.3 --limit 1000 --queries 5000
"""

import argparse
import gzip
import os
import pathlib

import numpy as np
import onnxruntime

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--eps", type=float, required=True)
parser.add_argument("--limit", type=int, default=1000)
parser.add_argument("--queries", type=int, default=5000)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

folder = pathlib.Path(os.environ["BUCKLER_DATA"]) / "mnist"


def idx(name, header):
    data = np.frombuffer(gzip.open(folder / name).read()[header:], np.uint8)
    return data


clean = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[: args.limit].astype(np.float32) / 255
labels = idx("t10k-labels-idx1-ubyte.gz", 8)[: args.limit].astype(int)
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
    return min(27, max(1, round((0.8 / 2**halvings * 784) ** 0.5)))


standing = margins(clean, labels) > 0
print(f"clean accuracy {standing.mean():.4f}")
clean, labels = clean[standing], labels[standing]
stripes = args.eps * rng.choice([-1, 1], size=(len(clean), 1, 1, 28))
images = np.clip(clean + stripes, 0, 1).astype(np.float32)
margin = margins(images, labels)
for query in range(1, args.queries):
    standing = margin > 0
    clean, labels, images, margin = (x[standing] for x in (clean, labels, images, margin))
    if not len(clean):
        break
    side = window(query)
    corners = rng.integers(0, 28 - side + 1, size=(len(images), 2))
    signs = rng.choice([-1, 1], size=len(images))
    tried = images.copy()
    for row, ((y, x), sign) in enumerate(zip(corners, signs)):
        square = (row, 0, slice(y, y + side), slice(x, x + side))
        tried[square] = np.clip(clean[square] + args.eps * sign, 0, 1)
    after = margins(tried, labels)
    better = after < margin
    images[better], margin[better] = tried[better], after[better]
print(f"square linf eps={args.eps} queries={args.queries} seed={args.seed}: accuracy {(margin > 0).sum() / args.limit:.4f}")
