# The image of api, worker, control, beat, flower and migrate.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /app/.venv \
    && /app/.venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock

FROM ${BASE} AS runtime
LABEL org.opencontainers.image.title="AgentCore Runtime" \
      org.opencontainers.image.description="API and workers of AgentCore Runtime" \
      dev.agentcore.security.user="1000:1000" \
      dev.agentcore.security.read-only-root="supported"
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=build /app/.venv /app/.venv
COPY alembic.ini ./
COPY api/ api/
COPY deploy/__init__.py deploy/healthcheck.py deploy/
COPY migrations/ migrations/
COPY models/ models/
COPY security_profiles/ security_profiles/
COPY worker/ worker/
USER 1000:1000
CMD ["python", "-m", "api", "serve"]
