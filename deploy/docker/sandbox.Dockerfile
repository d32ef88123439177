# The image that untrusted code runs in: Python, CA certificates, time zones, the guest supervisor.
# Built by `python -m deploy.images`; the base may have no shell, so every RUN is in exec form.
ARG BASE=python:3.12-slim

FROM ${BASE} AS prepare
# Lets the build remove what it leaves behind.
LABEL dev.agentcore.stage="prepare"
COPY guest/ /usr/local/lib/agentcore/guest/
# On no search path: only the guest's own runner of restricted programs imports it.
COPY vendor/ /usr/local/lib/agentcore/vendor/
COPY prepare_rootfs.py /prepare_rootfs.py
RUN ["python3", "-I", "-S", "/prepare_rootfs.py"]

# One layer, and nothing of the base's history.
FROM scratch
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
COPY --from=prepare / /
ENV PATH=/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    HOME=/workspace \
    PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="AgentCore sandbox" \
      org.opencontainers.image.description="Single-use sandbox for untrusted Python code" \
      org.opencontainers.image.vendor="AgentCore" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      dev.agentcore.role="sandbox" \
      dev.agentcore.security.user="1000:1000" \
      dev.agentcore.security.read-only-root="supported" \
      dev.agentcore.security.setuid-files="none" \
      dev.agentcore.security.shell="none"
HEALTHCHECK NONE
WORKDIR /workspace
USER 1000:1000
# Isolated and without site: nothing in the environment or the working folder can steer the guest.
ENTRYPOINT ["python3", "-I", "-S", "/usr/local/lib/agentcore/guest/__main__.py"]
