# MyFoodBudget's image. Built on the build machine's own platform for any target: the final stage
# only copies, so `docker buildx build --platform linux/arm64` needs no emulation.
ARG BASE=python:3.13-slim

FROM --platform=$BUILDPLATFORM ${BASE} AS dependencies
ARG TARGETARCH
WORKDIR /build
COPY requirements.txt ./
# pip, which the base image has, takes wheels for another platform as long as nothing is compiled.
# Older manylinux names are listed because pip takes each only as it is written.
RUN case "${TARGETARCH}" in \
      amd64) machine=x86_64 ;; \
      arm64) machine=aarch64 ;; \
      *) echo "no wheels are chosen for ${TARGETARCH} yet: this image is built for amd64 and arm64" >&2; exit 1 ;; \
    esac \
 && python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --require-hashes --only-binary :all: --no-deps --no-compile --target /opt/dependencies \
      --platform "manylinux_2_28_${machine}" --platform "manylinux_2_17_${machine}" \
      --platform "manylinux2014_${machine}" \
      -r requirements.txt
WORKDIR /app
COPY app_factory.py config.py gunicorn.conf.py ./
COPY foodbudget ./foodbudget
COPY migrations ./migrations
# Bytecode, since a read-only root can't keep any: without it each start compiles everything again,
# Python's own library included, whose bytecode the official images leave out. It all goes to one
# folder that the final stage can copy. Unchecked for what this image brings itself, checked against
# its source for what the base brings.
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
RUN mkdir -p /build/data \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/dependencies /app \
 && python -m compileall -q -j 0 --invalidation-mode checked-hash \
      -x '/(test|tests|idlelib|tkinter|turtledemo|ensurepip|pydoc_data|lib2to3|config-[^/]*|(site|dist)-packages)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

FROM ${BASE}
ARG REVISION=unknown
ARG VERSION=0.1.0
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/OWNER/myfoodbudget
LABEL org.opencontainers.image.title="MyFoodBudget" \
      org.opencontainers.image.description="What food cost this month, against what it was meant to cost" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/dependencies \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    FLASK_APP=app_factory
WORKDIR /app
COPY --from=dependencies /opt/dependencies /opt/dependencies
COPY --from=dependencies /opt/bytecode /opt/bytecode
COPY --from=dependencies /app /app
# The one folder that the app writes to. Not part of the copy above: a folder that is there already
# keeps its owner, and a named volume takes its owner from here.
COPY --from=dependencies --chown=10001:10001 /build/data /app/data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-X", "pycache_prefix=/opt/bytecode", "-IS", "/app/foodbudget/healthcheck.py"]
CMD ["python", "-m", "gunicorn"]
