"""What it takes to fool a model, asked without Buckler: its gradient graph, onnxruntime and NumPy are enough.

    pip install numpy onnxruntime pillow
    buckler differentiate models/mnist-he/1/model.onnx      # writes gradient.onnx beside it, if it is not there yet
    python examples/pgd.py models/mnist-he/1 digit.png --eps 0.3
    python examples/pgd.py resnet50 cat.jpg --label 281 --eps 8/255

Attacks with linf PGD at the given eps, and at half of it as long as the model is fooled.
"""
import argparse
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def information(session):
    """What a gradient graph says about itself: the names of `image` and `logits`, and the `objectives` it knows."""
    return json.loads(session.get_modelmeta().custom_metadata_map["buckler.gradient"])


def question(session, images, labels, objective="cross_entropy"):
    """Every input that the graph declares: the images, their labels, one objective, and zeros for what plays no part."""
    info = information(session)
    inputs = {i.name: np.zeros([len(images), *i.shape[1:]], TYPES[i.type]) for i in session.get_inputs()}
    inputs["objective"][:, info["objectives"].index(objective)] = 1
    return {**inputs, info["image"]: images, "label": labels}


def pgd(session, image, label, eps, steps=20):
    """The adversarial image (or the last one tried), its logits, and the steps that it took. No random start."""
    info = information(session)
    inputs = question(session, image, np.array([label]))
    step = np.float32(2.5 * eps / steps)
    low, high = np.maximum(image - np.float32(eps), 0), np.minimum(image + np.float32(eps), 1)
    for taken in range(steps + 1):
        logits, gradient = session.run([info["logits"], "gradient"], inputs)
        if logits.argmax() != label or taken == steps:
            return inputs[info["image"]], logits[0], taken
        inputs[info["image"]] = np.clip(inputs[info["image"]] + step * np.sign(gradient), low, high)


def load(path, shape):
    """An image file as `[1, channels, height, width]` in [0, 1], stretched to the size of the model."""
    _, channels, height, width = shape
    picture = Image.open(path).convert({1: "L", 3: "RGB"}[channels])
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.float32).reshape(height, width, channels) / 255
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder with gradient.onnx, and card.json for the names of the classes")
    parser.add_argument("image", help="a PNG, JPEG, ... of the correct class")
    parser.add_argument("--label", type=int, help="number of the correct class (default: what the model says)")
    parser.add_argument("--eps", type=lambda text: float(Fraction(text)), default="8/255", help="such as 0.3 or 8/255 (the default)")
    args = parser.parse_args()

    session = onnxruntime.InferenceSession(args.model / "gradient.onnx", providers=["CPUExecutionProvider"])
    card = args.model / "card.json"
    names = json.loads(card.read_text())["classes"] if card.exists() else []
    shape = next(i.shape for i in session.get_inputs() if i.name == information(session)["image"])
    image = load(args.image, shape)

    def describe(logits):
        top = logits.argmax()
        probability = 1 / np.exp(logits - logits[top]).sum()
        return f"class {top}{f' ({names[top]})' if names else ''}, probability {probability:.1%}"

    clean = question(session, image, np.array([args.label or 0]))
    (clean,) = session.run([information(session)["logits"]], clean)
    label = args.label if args.label is not None else int(clean.argmax())
    print(f"clean: {describe(clean[0])}")
    if clean.argmax() != label:
        return print(f"the model is wrong without an attack: the class is {label}")
    eps = args.eps
    while eps > args.eps / 100:
        adversarial, logits, taken = pgd(session, image, label, eps)
        if logits.argmax() == label:
            return print(f"eps {eps:.4g}: withstands {taken} steps of PGD, {describe(logits)}")
        print(f"eps {eps:.4g}: fooled after {taken} steps, {describe(logits)}, l2 {np.linalg.norm(adversarial - image):.3g}")
        eps /= 2


if __name__ == "__main__":
    main()
