"""The classifier and the images of attacks.py: an ONNX file as a PyTorch module that counts, and in ONNX Runtime, which judges."""
import gzip

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn as nn
import torch.nn.functional as F

TOLERANCE = 1e-6


def mnist(folder, limit):
    def read(name, header):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                data = path.read_bytes()
                data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
                return np.frombuffer(data, np.uint8, offset=header)
        raise SystemExit(f"{folder / name} does not exist, nor does it with .gz: name the folder of the IDX files (--dir)")

    pixels = read("t10k-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)[:limit]
    return pixels, read("t10k-labels-idx1-ubyte", 8)[:limit]


def cifar10(folder, limit):
    for path in (folder / "test_batch.bin", folder / "cifar-10-batches-bin/test_batch.bin"):
        if path.is_file():
            rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)[:limit]
            return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]
    raise SystemExit(f"{folder} has no test_batch.bin: name the folder of the binary version (--dir)")


class Counter(nn.Module):
    """The classifier on images in [0, 1]; counts the rows that go through it, and those whose gradient comes back."""

    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        self.reset()

    def reset(self):
        self.gradients = self.forwards = 0

    def forward(self, x):
        logits = self.network((x - self.mean) / self.std)
        logits = logits[0] if isinstance(logits, (tuple, list)) else logits
        rows = len(x)
        self.forwards += rows
        if logits.requires_grad:
            followed = False

            def back(_):
                nonlocal followed
                self.gradients += rows
                self.forwards -= 0 if followed else rows
                followed = True

            logits.register_hook(back)
        return logits


def freed(path):
    """The ONNX file with its batch free, if it is fixed at 1."""
    model = onnx.load(path)
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    if first.dim_value != 1:
        return model
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for value in [*model.graph.input, *model.graph.output]:
        if value.name not in constants:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = onnx.numpy_helper.to_array(constants[node.input[1]]).copy()
            if len(shape) > 1 and shape[0] == 1:
                shape[0] = 0  # as many as come in
                constants[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(shape, node.input[1]))
    return model


class Runtime:
    """The same classifier in ONNX Runtime, which has the last word."""

    def __init__(self, model, mean, std, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input, self.output = self.session.get_inputs()[0].name, self.session.get_outputs()[0].name
        self.mean, self.std = (np.float32(values).reshape(1, -1, 1, 1) for values in (mean, std))

    def logits(self, x, batch=64):
        parts = [(x[i : i + batch] - self.mean) / self.std for i in range(0, len(x), batch)]
        return np.concatenate([self.session.run([self.output], {self.input: part})[0] for part in parts])


def load(args, pixels, labels):
    """The module and its judge, which agree."""
    from onnx2torch import convert

    channels = pixels.shape[1]
    mean, std = (np.broadcast_to(values, channels).tolist() for values in (args.mean, args.std))
    model = freed(args.model)
    runtime = Runtime(model.SerializeToString(), mean, std, args.threads)
    network = Counter(convert(model), mean, std).eval().requires_grad_(False)
    x, y = torch.from_numpy(pixels[:64]), torch.from_numpy(labels[:64])
    alone = Runtime(str(args.model), mean, std, args.threads)
    by_file = alone.logits(pixels[:8], 1)
    with torch.no_grad():
        found = network(x).numpy()
    truth = runtime.logits(pixels[:64])
    for what, error in (
        ("of the module", np.abs(found - truth).max()),
        ("with a free batch", np.abs(truth[:8] - by_file).max()),
    ):
        if not error < 1e-4:
            raise SystemExit(
                f"{args.model}: logits {what} differ from ONNX Runtime's by {error:.1e}, more than 1e-4; nothing is compared"
            )
    image = x.clone().requires_grad_(True)
    losses = F.cross_entropy(network(image), y, reduction="none")
    slope = torch.autograd.grad(losses.sum(), image)[0]

    def losses_of(moved):
        return F.cross_entropy(torch.from_numpy(runtime.logits(moved.numpy())).double(), y, reduction="none")

    rows = slope.flatten(1).norm(dim=1) > 1e-3
    direction = slope / slope.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, 1, 1, 1)
    quotient = (losses_of(x + 1e-3 * direction) - losses_of(x - 1e-3 * direction)) / 2e-3
    expected = slope.flatten(1).norm(dim=1).double()
    if rows.any():
        error = ((quotient - expected).abs() / expected)[rows].median().item()
        if not error < 0.02:
            raise SystemExit(
                f"{args.model}: gradients differ from difference quotients by {error:.1%}, more than 2 %; nothing is compared"
            )
    return network, runtime


def distance(norm, a, b):
    change = (a.astype(np.float64) - b.astype(np.float64)).reshape(len(a), -1)
    return np.abs(change).max(1) if norm == "linf" else np.sqrt((change**2).sum(1))


def judged(task, runtime, x, y, clean_wrong, adversarial):
    """What a tool's images are worth, by ONNX Runtime."""
    images = np.ascontiguousarray(adversarial, dtype=np.float32)
    finite = np.isfinite(images).reshape(len(x), -1).all(1)
    images = np.where(finite.reshape(-1, 1, 1, 1), images, x)
    images = np.where((images < 0) & (images > -TOLERANCE), 0, images)
    images = np.where((images > 1) & (images < 1 + TOLERANCE), 1, images)
    far = distance(task.norm, images, x)
    if not task.closest:
        slightly = (far > task.eps) & (far <= task.eps * (1 + 1e-4))
        if task.norm == "linf":
            inside = np.clip(images, x - np.float32(task.eps), x + np.float32(task.eps))
        else:
            # A little less, so that rounding does not push it out again.
            inside = x + (images - x) * (task.eps * (1 - 1e-7) / np.maximum(far, 1e-12)).reshape(-1, 1, 1, 1)
        images = np.where(slightly.reshape(-1, 1, 1, 1), inside, images).astype(np.float32)
        far = distance(task.norm, images, x)
    boxed = ((images >= 0) & (images <= 1)).reshape(len(x), -1).all(1)
    wrong = runtime.logits(images).argmax(1) != y
    fooled = wrong & boxed & finite & ~clean_wrong
    broken = clean_wrong | (fooled & (far <= task.eps + TOLERANCE))
    return {
        "broken": broken,
        "distances": np.where(fooled, far, np.nan),
        "outside": 0 if task.closest else int((fooled & (far > task.eps + TOLERANCE)).sum()),
        "out of the box": int((wrong & ~boxed & ~clean_wrong).sum()),
        "not finite": int((~finite).sum()),
    }
