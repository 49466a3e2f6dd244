"""BentoML with adaptive batching: bentoml serve bentoml_service:Peer"""
import bentoml
import numpy as np
from PIL.Image import Image

from classifier import Classifier


@bentoml.service(workers=1, traffic={"timeout": 60})
class Peer:
    def __init__(self):
        self.classifier = Classifier()

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=1000)
    def predict(self, images: list[Image]) -> list[dict]:
        """Those of all requests that came meanwhile, as one batch."""
        return self.classifier.predictions(np.stack([self.classifier.pixels(image) for image in images]))
