"""MLServer: mlserver start DIR, where DIR has the settings that run.py has written."""
import base64

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from classifier import Classifier


class Peer(MLModel):
    async def load(self):
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """FP32 is a batch of pixels, BYTES are image files in base64."""
        tensor = payload.inputs[0]
        if tensor.datatype == "BYTES":
            batch = np.stack([self.classifier.decode(base64.b64decode(file)) for file in tensor.data])
        else:
            batch = NumpyCodec.decode_input(tensor)
        logits = NumpyCodec.encode_output("logits", self.classifier.logits(batch))
        return InferenceResponse(model_name=self.name, outputs=[logits])
