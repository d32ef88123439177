# The service: api, worker, control, beat, flower and migrate are commands of one image.
# Built by `make images`, or by `docker build -f deploy/docker/runtime.Dockerfile .`, which takes the
# packages from the network unless a folder wheels/ has them. Every RUN is in exec form: a base made
# of Debian packages has no shell.
ARG BASE=python:3.12-slim

# The base's system with the packages, and without what only built them.
FROM ${BASE} AS system
LABEL dev.agentcore.stage="service-system"
COPY requirements.lock wheels* /build/
COPY deploy/docker/prepare_rootfs.py deploy/docker/prepare_service.py /build/deploy/docker/
RUN ["python3", "-I", "/build/deploy/docker/prepare_service.py", "system"]

# Our code, readable by every user whatever the umask of the checkout was, and compiled.
FROM system AS code
LABEL dev.agentcore.stage="service-code"
COPY deploy/docker/prepare_rootfs.py deploy/docker/prepare_service.py /build/deploy/docker/
COPY alembic.ini /app/
COPY api/ /app/api/
COPY deploy/__init__.py deploy/healthcheck.py /app/deploy/
COPY migrations/ /app/migrations/
COPY models/ /app/models/
COPY security_profiles/ /app/security_profiles/
COPY worker/ /app/worker/
RUN ["python3", "-I", "/build/deploy/docker/prepare_service.py", "code"]

# From scratch: nothing of the history of the base or of the build.
FROM scratch AS application
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="AgentCore Runtime" \
      org.opencontainers.image.description="API and workers of AgentCore Runtime" \
      org.opencontainers.image.vendor="AgentCore" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      dev.agentcore.role="service" \
      dev.agentcore.security.user="1000:1000" \
      dev.agentcore.security.read-only-root="supported" \
      dev.agentcore.security.capabilities="none" \
      dev.agentcore.security.no-new-privileges="supported" \
      dev.agentcore.security.setuid-files="none"
COPY --from=system / /
COPY --from=code /app /app
ENV PATH=/opt/agentcore/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 1000:1000
EXPOSE 8002
# Of the API; compose gives each other process a check of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-m", "deploy.healthcheck", "http://127.0.0.1:8002/health"]
CMD ["python", "-m", "api", "serve"]

# With hot reload: mount the source over /app.
FROM application AS development
ENV AGENTCORE_DEBUG=true

# The last one: what a build without --target makes.
FROM application AS runtime
