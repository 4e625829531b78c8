# MyFoodBudget's image, for linux/amd64, linux/arm64 and linux/arm/v7. Whatever runs, runs on the
# build machine's own platform; the final stage only copies. So no platform needs emulation, and
# what does not depend on the platform is made once for all three.
ARG BASE=python:3.13-slim

FROM --platform=$BUILDPLATFORM ${BASE} AS app
ARG SOURCE_DATE_EPOCH=0
WORKDIR /app
COPY app_factory.py config.py gunicorn.conf.py ./
COPY foodbudget ./foodbudget
COPY migrations ./migrations
# Bytecode, since a read-only root can't keep any: without it each start compiles everything again,
# Python's own library included, whose bytecode the official images leave out. It all goes to one
# folder that the final stage can copy. Unchecked for what this image brings itself, checked against
# its source for what the base brings.
# The same source must give the same bytes: one process that compiles in order (what it compiled
# before shows in a file's bytes), no bytecode of its own beside it (-B), nothing from chance.
# Permissions and times are not the checkout's.
ENV PYTHONHASHSEED=0
RUN mkdir -p /build/data \
 && python -B -X pycache_prefix=/opt/bytecode -m compileall -q \
      --invalidation-mode unchecked-hash /app \
 && python -B -X pycache_prefix=/opt/bytecode -m compileall -q --invalidation-mode checked-hash \
      -x '/(test|tests|idlelib|tkinter|turtledemo|ensurepip|pydoc_data|lib2to3|config-[^/]*|(site|dist)-packages)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && chmod -R u=rwX,go=rX /app /opt/bytecode /build/data \
 && find /app /opt/bytecode /build/data -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM --platform=$BUILDPLATFORM ${BASE} AS dependencies
ARG TARGETARCH
ARG TARGETVARIANT
ARG SOURCE_DATE_EPOCH=0
ENV PYTHONHASHSEED=0
WORKDIR /build
COPY requirements.txt deploy/pipeline/markers.py ./
# pip, which the base image has, takes wheels for another platform as long as nothing is compiled.
# It takes each manylinux name only as it is written: all that the base's C library can load.
RUN case "${TARGETARCH}${TARGETVARIANT}" in \
      amd64*) machine=x86_64 ;; \
      arm64*) machine=aarch64 ;; \
      armv7) machine=armv7l ;; \
      *) echo "no wheels for ${TARGETARCH}${TARGETVARIANT}: this image is built for amd64, arm64 and arm/v7" >&2; exit 1 ;; \
    esac \
 && python -B markers.py "${machine}" < requirements.txt > target.txt \
 && platforms="$(seq -f "--platform manylinux_2_%.0f_${machine}" 36 -1 17)" \
 && python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --require-hashes --only-binary :all: --no-deps --no-compile --target /opt/dependencies \
      ${platforms} --platform "manylinux2014_${machine}" -r target.txt \
 && python -B -X pycache_prefix=/opt/bytecode -m compileall -q \
      --invalidation-mode unchecked-hash /opt/dependencies \
 && chmod -R u=rwX,go=rX /opt/dependencies /opt/bytecode \
 && find /opt/dependencies /opt/bytecode -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE}
# Linked copies don't look at what they are copied onto: they are the same layers on every platform.
# Together with what the base brings, the two that rarely change come first.
COPY --link --from=dependencies /opt/dependencies /opt/dependencies
COPY --link --from=dependencies /opt/bytecode /opt/bytecode
COPY --link --from=app /opt/bytecode /opt/bytecode
COPY --link --from=app /app /app
# The one folder that the app writes to. Not part of the copy above: a folder that is there already
# keeps its owner, and a named volume takes its owner from here.
COPY --link --from=app --chown=10001:10001 /build/data /app/data
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/dependencies \
    PYTHONPYCACHEPREFIX=/opt/bytecode \
    FLASK_APP=app_factory
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s --start-interval=2s --retries=3 \
    CMD ["python", "-X", "pycache_prefix=/opt/bytecode", "-IS", "/app/foodbudget/healthcheck.py"]
CMD ["python", "-m", "gunicorn"]
# Last, since they differ with every commit.
ARG REVISION=unknown
ARG VERSION=0.1.0
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/OWNER/myfoodbudget
ARG BASE_NAME=docker.io/library/python:3.13-slim
ARG BASE_DIGEST=unknown
LABEL org.opencontainers.image.title="MyFoodBudget" \
      org.opencontainers.image.description="What food cost this month, against what it was meant to cost" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE_NAME}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
