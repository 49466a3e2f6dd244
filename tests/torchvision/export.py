"""Exports torchvision classifiers to ONNX with both of PyTorch's exporters.

    pip install torch torchvision onnx onnxscript
    python tests/torchvision/export.py --out DIR
    python tests/torchvision/export.py --out DIR --exporter dynamo resnet50 vit_b_16

Weights are random and seeded, for nothing is to be downloaded. The same name always gives the same network, so that
`gradients.py` builds it again for autograd. A random network as it comes would say little there, so `prepare` changes it:

* In evaluation mode its activations may vanish or explode, and parts of it may be switched off (torchvision starts a ViT's
  head at zero and ConvNeXt's layer scale at 1e-6), which would hide their gradients. BatchNorm gathers its running statistics
  in a few forward passes over random images in training mode, such parameters get weight, and the last layer is shifted
  and scaled so that every class's logit has about mean zero and standard deviation one over images.
* Ten million ReLUs per image are more than the decimals of a float32: some lie so close to zero that rounding decides whether
  they are open, and two correct float32 gradients of a random ResNet-50 differ by 2 %, which hides errors of that size. So
  BatchNorm leaves the channels at +1.5 and -1.5 in turn with a standard deviation of 1/3: then the corners of ReLU (at 0)
  and of Hardswish and Hardsigmoid (at -3 and 3) are all 4.5 standard deviations away. Few values cross them, fewer hit them.

The TorchScript exporter's files hold their weights; the other's are left as the exporter writes them, which may be with a
`.data` file beside the model.
"""
import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

import torch
import torch.nn as nn
import torchvision

MODELS = [
    "resnet50",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "vit_b_16",
    "convnext_tiny",
    "densenet121",
    "swin_t",
    "regnet_y_400mf",
]
EXPORTERS = ["torchscript", "dynamo"]
SIZE = 224


def images(count, seed, size=SIZE):
    """Random images in [0, 1] that differ at every scale: white noise alone looks all the same to a deep network."""
    generator = torch.Generator().manual_seed(seed)
    octaves = []
    for side in (2, 7, 28, size):
        noise = torch.randn(count, 3, side, side, generator=generator)
        octaves.append(nn.functional.interpolate(noise, size=(size, size), mode="bilinear"))
    return torch.sigmoid(torch.stack(octaves).sum(0))


def prepare(model, size=SIZE):
    """Changes a random network as told above; returns it in evaluation mode."""
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layer_scale"):
                parameter.fill_(0.5)
        if not head.weight.any():
            nn.init.normal_(head.weight, std=0.02)
        for norm in norms:
            norm.weight.fill_(1 / 3)
            norm.bias.copy_(torch.tensor([1.5, -1.5]).repeat(norm.num_features)[: norm.num_features])
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all passes
            norm.train()  # and only these: dropout stays off
        if norms:
            for seed in range(4):
                model(images(8, seed, size))
        model.eval()
        logits = model(images(8, 4, size))
        scale = 1 / logits.std(dim=0).mean()
        head.weight *= scale
        head.bias.copy_((head.bias - logits.mean(dim=0)) * scale)
    return model


def build(name):
    """The torchvision network `name`, float32, in evaluation mode, with random weights that carry a signal."""
    torch.manual_seed(0)
    return prepare(torchvision.models.get_model(name, weights=None))


def write(model, exporter, path, size=SIZE):
    """Exports with a dynamic batch; the file appears under its name only when it is complete."""
    example = images(2, 5, size)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / path.name  # the exporter names its data file after this one
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if exporter == "torchscript":
                axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
                torch.onnx.export(model, (example,), written, dynamo=False, dynamic_axes=axes, **names)
            else:
                shapes = ({0: torch.export.Dim("batch")},)
                torch.onnx.export(model, (example,), written, dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == written):  # the model itself last
            os.replace(file, path.parent / file.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, help="names in torchvision.models (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder of NAME-EXPORTER.onnx")
    parser.add_argument("--exporter", choices=EXPORTERS, help="default: both")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in args.models:
        model = build(name)
        for exporter in [args.exporter] if args.exporter else EXPORTERS:
            path = args.out / f"{name}-{exporter}.onnx"
            started = time.perf_counter()
            try:
                write(model, exporter, path)
            except Exception as error:  # the exporters raise of every kind
                failed = True
                print(f"{path.name}: not exported: {type(error).__name__}: {str(error)[:300]}", flush=True)
            else:
                print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
