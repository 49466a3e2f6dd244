"""Every call of KServe's REST client that the protocol's version 2 has, and a raw tensor without a client."""

import asyncio
import json
import urllib.request

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


@pytest.fixture
def call(address):
    """Makes one call with a client of its own."""

    def call(name, *arguments, **named):
        async def calls():
            client = InferenceRESTClient(RESTConfig(protocol="v2"))
            try:
                return await getattr(client, name)(f"http://{address}", *arguments, **named)
            finally:
                await client.close()

        return asyncio.run(calls())

    return call


def tensor(array, datatype="FP32", binary=True, name="image"):
    given = InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def request(inputs, **named):
    return InferRequest(model_name="halves", infer_inputs=inputs, **named)


def refused(status, part, call, data, model="halves"):
    with pytest.raises(httpx.HTTPStatusError) as raised:
        call("infer", data, model_name=model)
    assert raised.value.response.status_code == status
    assert part in str(raised.value)


def test_health(call):
    assert call("is_server_live") is True
    assert call("is_server_ready") is True
    assert call("is_model_ready", "halves") is True
    assert call("is_model_ready", "nobody") is False


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_infer(call, images, logits, binary_input, binary_output):
    outputs = [RequestedOutput("logits", parameters={"binary_data": binary_output})]
    data = request([tensor(images, binary=binary_input)], request_id="id 7", request_outputs=outputs)
    response = call("infer", data, model_name="halves")
    assert response.id == "id 7"
    assert response.model_name == "halves"
    output = response.outputs[0]
    assert (output.name, output.datatype, list(output.shape)) == ("logits", "FP32", [3, 3])
    np.testing.assert_allclose(output.as_numpy(), logits, atol=1e-5)


def test_infer_with_a_dictionary_and_all_outputs_in_binary(call, images, logits):
    inputs = [{"name": "image", "shape": [3, 1, 8, 8], "datatype": "FP32", "data": images.tolist()}]
    for parameters in [{}, {"binary_data_output": True}]:
        headers = {}
        data = {"inputs": inputs, "parameters": parameters}
        response = call("infer", data, model_name="halves", response_headers=headers)
        np.testing.assert_allclose(response.outputs[0].as_numpy(), logits, atol=1e-5)
        assert ("inference-header-content-length" in headers) == bool(parameters)


def test_classification(call, images):
    outputs = [RequestedOutput("logits", parameters={"classification": 1})]
    response = call("infer", request([tensor(images)], request_outputs=outputs), model_name="halves")
    assert response.outputs[0].datatype == "BYTES"
    assert response.outputs[0].data == ["6:0:left", "3:0:left", "9:1:right"]


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [
        (np.bool_, "BOOL"),
        (np.uint8, "UINT8"),
        (np.int64, "INT64"),
        (np.float16, "FP16"),
        (np.float64, "FP64"),
    ],
)
def test_other_datatypes_are_refused_with_what_the_model_takes(call, images, dtype, datatype):
    data = request([tensor(images.astype(dtype), datatype)])
    refused(400, f"`image` is {datatype}, but the model takes FP32", call, data)


def test_failures_carry_the_servers_words(call, images):
    refused(404, "`nobody`", call, request([tensor(images)]), "nobody")
    refused(400, "`pixels`", call, request([tensor(images, name="pixels")]))
    refused(400, "[-1, 1, 8, 8]", call, request([tensor(images[0])]))
    refused(400, "missing field `inputs`", call, {})


def test_a_raw_tensor(address, images, logits):
    headers = {"Inference-Header-Content-Length": "0"}
    url = f"http://{address}/v2/models/halves/infer"
    raw = urllib.request.Request(url, data=images[0].tobytes(), headers=headers)
    with urllib.request.urlopen(raw) as response:
        length = int(response.headers["Inference-Header-Content-Length"])
        body = response.read()
    output = json.loads(body[:length])["outputs"][0]
    assert output["shape"] == [1, 3]
    np.testing.assert_allclose(np.frombuffer(body[length:], dtype=np.float32), logits[0], atol=1e-5)
