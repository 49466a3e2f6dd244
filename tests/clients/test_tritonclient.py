"""Every call of tritonclient's HTTP client."""

import asyncio

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


@pytest.fixture
def client(address):
    with triton.InferenceServerClient(address) as client:
        yield client


def tensor(array, binary=True, name="image"):
    given = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return given.set_data_from_numpy(array, binary_data=binary)


def refused(status, part, call, *arguments, **named):
    with pytest.raises(InferenceServerException) as raised:
        call(*arguments, **named)
    assert raised.value.status() == status
    assert part in raised.value.message()


def test_health(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("halves")
    assert client.is_model_ready("halves", "1")
    assert not client.is_model_ready("halves", "2")
    assert not client.is_model_ready("nobody")


def test_server_metadata(client):
    metadata = client.get_server_metadata()
    assert metadata["name"] == "buckler"
    extensions = ["binary_tensor_data", "classification", "model_repository", "statistics"]
    assert metadata["extensions"] == extensions


def test_model_metadata_and_config(client):
    for version in ["", "1"]:
        metadata = client.get_model_metadata("colour", version)
        assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8]}]
        assert metadata["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 4]}]
        config = client.get_model_config("colour", version)
        assert config["input"][0]["dims"] == [3, 8, 8]
        assert config["max_batch_size"] > 0
    for call in [client.get_model_metadata, client.get_model_config]:
        refused("404", "`nobody`", call, "nobody")
        refused("404", "version `2`", call, "halves", "2")


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False, None])
@pytest.mark.parametrize("version", ["", "1"])
def test_infer(client, images, logits, binary_input, binary_output, version):
    outputs = None
    if binary_output is not None:
        outputs = [triton.InferRequestedOutput("logits", binary_data=binary_output)]
    result = client.infer("halves", [tensor(images, binary_input)], version, outputs=outputs)
    np.testing.assert_allclose(result.as_numpy("logits"), logits, atol=1e-5)
    answer = result.get_response()
    assert (answer["model_name"], answer["model_version"]) == ("halves", "1")
    assert ("parameters" in result.get_output("logits")) == (binary_output is not False)
    assert "id" not in answer


def test_request_id_parameters_and_timeout(client, images):
    inputs = [tensor(images)]
    result = client.infer("halves", inputs, request_id="id 7", priority=1, timeout=30_000_000, parameters={"of": "the caller"})
    assert result.get_response()["id"] == "id 7"
    refused("504", "seconds", client.infer, "halves", inputs, timeout=1)


@pytest.mark.parametrize("binary", [True, False])
def test_classification(client, images, binary):
    outputs = [triton.InferRequestedOutput("logits", binary_data=binary, class_count=2)]
    result = client.infer("halves", [tensor(images)], outputs=outputs).as_numpy("logits")
    assert result.shape == (3, 2)
    texts = [text.decode() if isinstance(text, bytes) else text for text in result.flatten()]
    assert texts == ["6:0:left", "-3:2:neither", "3:0:left", "-3:1:right", "9:1:right", "-3:2:neither"]


@pytest.mark.parametrize("request_compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compression(client, images, logits, request_compression, response_compression, binary):
    compression = {
        "request_compression_algorithm": request_compression,
        "response_compression_algorithm": response_compression,
    }
    outputs = [triton.InferRequestedOutput("logits", binary_data=binary)]
    result = client.infer("halves", [tensor(images, binary)], outputs=outputs, **compression)
    np.testing.assert_allclose(result.as_numpy("logits"), logits, atol=1e-5)
    refused("400", "convert it first", client.infer, "halves", [tensor(images.astype(np.float64))], **compression)


def test_async_infer(client, images, logits):
    requests = [client.async_infer("halves", [tensor(images)], request_id=str(index)) for index in range(8)]
    for index, request in enumerate(requests):
        result = request.get_result()
        np.testing.assert_allclose(result.as_numpy("logits"), logits, atol=1e-5)
        assert result.get_response()["id"] == str(index)
    failing = client.async_infer("nobody", [tensor(images)])
    refused("404", "`nobody`", failing.get_result)


def test_asyncio_client(address, images, logits):
    async def calls():
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            results = [client.infer("halves", [tensor(images, binary)]) for binary in [True, False]]
            for result in await asyncio.gather(*results):
                np.testing.assert_allclose(result.as_numpy("logits"), logits, atol=1e-5)
            with pytest.raises(InferenceServerException, match="`nobody`"):
                await client.infer("nobody", [tensor(images)])

    asyncio.run(calls())


DATATYPES = [
    np.bool_,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.float16,
    np.float64,
    np.object_,
]


@pytest.mark.parametrize("dtype", DATATYPES)
@pytest.mark.parametrize("binary", [True, False])
def test_other_datatypes_are_refused_with_what_the_model_takes(client, images, dtype, binary):
    given = tensor(images.astype(dtype), binary)
    expected = "FP16 has no form in JSON" if dtype == np.float16 and not binary else "the model takes FP32"
    refused("400", expected, client.infer, "halves", [given])


def test_malformed_requests(client, images):
    refused("400", "`pixels`", client.infer, "halves", [tensor(images, name="pixels")])
    refused("400", "[-1, 1, 8, 8]", client.infer, "halves", [tensor(images[0])])
    refused("400", "no rows", client.infer, "halves", [tensor(images[:0])])
    refused("400", "twice", client.infer, "halves", [tensor(images), tensor(images)])
    refused("404", "version `9`", client.infer, "halves", [tensor(images)], "9")
    outputs = [triton.InferRequestedOutput("loss")]
    refused("400", "`loss`", client.infer, "halves", [tensor(images)], outputs=outputs)


def test_what_json_cannot_say_comes_in_binary(client, images):
    images[0, 0, 0, 0] = np.nan
    result = client.infer("halves", [tensor(images)]).as_numpy("logits")
    assert np.isnan(result[0]).any() and not np.isnan(result[1:]).any()
    outputs = [triton.InferRequestedOutput("logits", binary_data=False)]
    refused("400", "ask for binary data", client.infer, "halves", [tensor(images)], outputs=outputs)


def test_shared_memory_is_refused(client, images):
    shared = triton.InferInput("image", [3, 1, 8, 8], "FP32").set_shared_memory("region", images.nbytes)
    refused("400", "shared memory", client.infer, "halves", [shared])
    output = triton.InferRequestedOutput("logits")
    output.set_shared_memory("region", 36)
    refused("400", "shared memory", client.infer, "halves", [tensor(images)], outputs=[output])


def test_statistics(client, images):
    def halves():
        return client.get_inference_statistics("halves")["model_stats"][0]

    before = halves()
    client.infer("halves", [tensor(images)])
    after = halves()
    assert after["inference_count"] - before["inference_count"] == 3
    for kind in ["success", "queue", "compute_input", "compute_infer", "compute_output"]:
        counts = [stats["inference_stats"][kind]["count"] for stats in [before, after]]
        assert counts[1] - counts[0] == 1, kind
    assert client.get_inference_statistics("halves", "1")["model_stats"] == [after]
    names = [stats["name"] for stats in client.get_inference_statistics()["model_stats"]]
    assert names == ["colour", "halves"]
    refused("404", "`nobody`", client.get_inference_statistics, "nobody")


def test_repository(client):
    ready = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in ["colour", "halves"]]
    assert client.get_model_repository_index() == ready
    client.unload_model("colour")
    assert not client.is_model_ready("colour")
    assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
    client.load_model("colour")
    assert client.is_model_ready("colour")
    assert client.get_model_repository_index() == ready
    refused("404", "`nobody`", client.load_model, "nobody")
    refused("404", "`nobody`", client.unload_model, "nobody")
    refused("400", "`config`", client.load_model, "halves", config="{}")


def test_what_is_not_supported_is_told_so(client):
    refused("404", "/v2/trace/setting", client.get_trace_settings)
    refused("404", "/v2/trace/setting", client.update_trace_settings, settings={})
    refused("404", "/v2/logging", client.get_log_settings)
    refused("404", "/v2/logging", client.update_log_settings, {})
    refused("404", "/v2/systemsharedmemory", client.get_system_shared_memory_status)
    refused("404", "/v2/systemsharedmemory", client.register_system_shared_memory, "region", "/key", 8)
    refused("404", "/v2/systemsharedmemory", client.unregister_system_shared_memory)
    refused("404", "/v2/cudasharedmemory", client.get_cuda_shared_memory_status)
    refused("404", "/v2/cudasharedmemory", client.unregister_cuda_shared_memory)
