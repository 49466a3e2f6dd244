"""The model as every peer serves it: Pillow decodes, ONNX Runtime classifies."""
import io
import os

import numpy as np
import onnxruntime
from PIL import Image


class Classifier:
    def __init__(self):
        """Of the file PEER_MODEL with PEER_THREADS intra-op threads."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
        # Threads that spin take the processor from those that decode; Buckler's do not spin either.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = os.environ["PEER_MODEL"]
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        image = self.session.get_inputs()[0]
        self.input, (_, self.channels, self.height, self.width) = image.name, image.shape
        self.output = self.session.get_outputs()[0].name

    def decode(self, file):
        """The bytes of an image file as float32 `[channels, height, width]` in [0, 1]."""
        return self.pixels(Image.open(io.BytesIO(file)))

    def pixels(self, image):
        image = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32).reshape(self.height, self.width, self.channels) / np.float32(255)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def logits(self, batch):
        return self.session.run([self.output], {self.input: batch})[0]

    def predictions(self, batch):
        logits = self.logits(batch)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = weights / weights.sum(1, keepdims=True)
        return [{"class": int(row.argmax()), "probability": float(row.max())} for row in probabilities]
