"""FastAPI on uvicorn: uvicorn fastapi_server:app --workers N"""
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import UnidentifiedImageError

from classifier import Classifier

app = FastAPI()
classifier = Classifier()


def classify(file):
    return classifier.predictions(classifier.decode(file)[None])[0]


@app.get("/ready")
async def ready():
    return True


@app.post("/predict")
async def predict(request: Request):
    """The image file is the body. Decoding and inference go to a thread; both let go of the interpreter's lock."""
    try:
        return await run_in_threadpool(classify, await request.body())
    except UnidentifiedImageError as error:
        raise HTTPException(400, str(error)) from error
