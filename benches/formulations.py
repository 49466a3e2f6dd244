"""Ways to write the gradient of a convolution, timed against each other in onnxruntime.

    pip install numpy onnx onnxruntime
    cargo run --release -- differentiate model.onnx
    python benches/formulations.py gradient.onnx --batches 1 8 32

`as written` is the graph itself, which answers convolutions of stride 1 by convolutions with the kernel turned around. `transposed`
answers them by ConvTranspose; `depthwise transposed` only those of a group for each channel; `open weights` lists large kernels among the graph's
inputs as well, so that the runtime cannot lay them out in blocks. They take turns on one thread; times are medians of the processor
time, and each is compared with `as written`.
"""
import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

OPEN_FROM = 512  # input channels


def transposed(model, grouped_only=False):
    """Answers turned convolutions by ConvTranspose."""
    graph = model.graph
    made = {node.output[0]: node for node in graph.node}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    count = 0
    for node in graph.node:
        weight = node.input[1] if node.op_type == "Conv" else None
        while weight in made and made[weight].op_type in ("Transpose", "Slice"):
            weight = made[weight].input[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if weight is None or weight == node.input[1] or grouped_only and attributes.get("group", 1) == 1:
            continue
        kernel = stored[weight].dims[2:]
        dilations = attributes.get("dilations", [1] * len(kernel))
        reach = [(size - 1) * dilation for size, dilation in zip(kernel, dilations)]
        pads = [whole - pad for whole, pad in zip(reach * 2, attributes["pads"])]
        node.op_type = "ConvTranspose"
        node.input[1] = weight
        del node.attribute[:]
        node.attribute.extend(
            helper.make_attribute(name, value)
            for name, value in {"pads": pads, "dilations": dilations, "group": attributes.get("group", 1)}.items()
        )
        count += 1
    return count


def open_weights(model):
    """Lists large kernels among the inputs; those that are turned around are stored so first."""
    graph = model.graph
    made = {node.output[0]: node for node in graph.node}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    opened = set()
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        name, steps = node.input[1], []
        while name in made and made[name].op_type in ("Transpose", "Slice"):
            steps.append(made[name].op_type)
            name = made[name].input[0]
        kernel = numpy_helper.to_array(stored[name])
        for step in reversed(steps):
            spatial = tuple(range(2, kernel.ndim))
            kernel = np.swapaxes(kernel, 0, 1) if step == "Transpose" else np.flip(kernel, spatial)
        if kernel.shape[1] < OPEN_FROM or kernel.shape[2] == 1:
            continue
        if steps:
            name = node.input[1] + ".stored"
            node.input[1] = name
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(kernel), name))
        if name not in opened:
            opened.add(name)
            graph.input.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, kernel.shape))
    used = {name for node in graph.node for name in node.input} | {port.name for port in graph.output}
    turned = [node for node in graph.node if node.op_type == "Slice" and node.output[0] not in used]
    used -= {node.input[0] for node in turned}
    turned += [node for node in graph.node if node.op_type == "Transpose" and node.output[0] not in used]
    for node in turned:
        graph.node.remove(node)
    return len(opened)


VARIANTS = {
    "as written": lambda model: 0,
    "transposed": transposed,
    "depthwise transposed": lambda model: transposed(model, grouped_only=True),
    "open weights": open_weights,
}


def question(session, batch):
    """Random images, and the cross-entropy of class 0."""
    random = np.random.default_rng(0)
    answers = {}
    for port in session.get_inputs():
        shape = [size if isinstance(size, int) else batch for size in port.shape]
        if port.type == "tensor(int64)":
            answers[port.name] = np.zeros(shape, np.int64)
        else:
            answers[port.name] = random.random(shape, dtype=np.float32)
        if port.name == "objective":
            answers[port.name] = np.eye(1, shape[1], dtype=np.float32).repeat(batch, 0)
        if port.name == "cotangent":
            answers[port.name] *= 0
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rewrite in VARIANTS.items():
            model = onnx.load(args.graph)
            changed = rewrite(model)
            if name == "as written" or changed:
                path = Path(folder) / f"{len(sessions)}.onnx"
                onnx.save(model, path)
                sessions[name] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                print(f"{name}: {changed} convolutions rewritten")
    for batch in args.batches:
        inputs = question(sessions["as written"], batch)
        times = {name: [] for name in sessions}
        expected = sessions["as written"].run(["gradient"], inputs)[0]
        for name, session in sessions.items():
            found = session.run(["gradient"], inputs)[0]
            error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
            # At large batches, rounding turns some ReLU around in any two implementations.
            if not error < 1e-2:
                raise SystemExit(f"{name}: the gradient differs by {error:.1e}")
        for _ in range(args.rounds):
            for name, session in sessions.items():
                start = time.process_time()
                session.run(["gradient"], inputs)
                times[name].append(time.process_time() - start)
        medians = {name: statistics.median(values) for name, values in times.items()}
        cells = [f"{name} {1e3 * value:.2f} ms ({value / medians['as written']:.3f})" for name, value in medians.items()]
        print(f"batch {batch}: " + ", ".join(cells), flush=True)


if __name__ == "__main__":
    main()
