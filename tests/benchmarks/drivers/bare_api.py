"""A FastAPI route that inserts one row and nothing else: the floor under any submit.

`python -m tests.benchmarks.drivers.bare_api`; BENCH_DATABASE and BENCH_PORT. Served as our API is:
one process, a thread for each request, as many connections to the database.
"""

import os
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from sqlalchemy import create_engine, text

from models.settings import Settings

app = FastAPI()
POOL = Settings.model_fields["database_pool_size"].default
engine = create_engine(os.environ["BENCH_DATABASE"], pool_size=POOL, max_overflow=0)
INSERT = text("INSERT INTO bare (id, body) VALUES (:id, CAST(:body AS jsonb))")


@app.post("/rows", status_code=202)
def insert(body: dict[str, Any]) -> dict[str, str]:
    """Insert one row and answer when it is committed."""
    made = uuid4()
    with engine.begin() as connection:
        connection.execute(INSERT, {"id": made, "body": '{"source": "as sent"}'})
    return {"id": str(made), "source": str(body["source"])}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BENCH_PORT"]), access_log=False, log_level="warning")
