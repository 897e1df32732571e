"""The peer everybody writes first: FastAPI around `model.predict`, in one process. Run by uvicorn, MODEL names the folder."""

from __future__ import annotations

import os
from typing import Any

import mlflow.pyfunc
import pandas
from fastapi import FastAPI, Request

model = mlflow.pyfunc.load_model(os.environ["MODEL"])
app = FastAPI()


@app.post("/invocations")
async def invocations(request: Request) -> dict[str, Any]:
    split = (await request.json())["dataframe_split"]
    frame = pandas.DataFrame(split["data"], columns=split["columns"])
    return {"predictions": model.predict(frame).tolist()}
