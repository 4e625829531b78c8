# The same image made the usual way, for `make image-bench` to compare with: each platform installs
# and compiles for itself, in a RUN of its own, and what is foreign to the machine runs under QEMU.
ARG BASE=python:3.13-slim
FROM ${BASE}
ARG TARGETARCH
# Which processor QEMU plays where the target is arm64; empty: its default, which computes pointer
# authentication so slowly that every program of today's Debian takes ten times as long.
ARG ARM64_CPU=
WORKDIR /app
COPY requirements.txt /tmp/requirements.txt
RUN if [ "${TARGETARCH}" = arm64 ] && [ -n "${ARM64_CPU}" ]; then export QEMU_CPU="${ARM64_CPU}"; fi \
 && python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --require-hashes --only-binary :all: --no-deps --no-compile --target /opt/dependencies \
      -r /tmp/requirements.txt \
 && rm /tmp/requirements.txt
COPY app_factory.py config.py gunicorn.conf.py ./
COPY foodbudget ./foodbudget
COPY migrations ./migrations
ENV PYTHONPYCACHEPREFIX=/opt/bytecode
RUN if [ "${TARGETARCH}" = arm64 ] && [ -n "${ARM64_CPU}" ]; then export QEMU_CPU="${ARM64_CPU}"; fi \
 && mkdir -p data && chown 10001:10001 data \
 && python -B -m compileall -q --invalidation-mode unchecked-hash /opt/dependencies /app \
 && python -B -m compileall -q --invalidation-mode checked-hash \
      -x '/(test|tests|idlelib|tkinter|turtledemo|ensurepip|pydoc_data|lib2to3|config-[^/]*|(site|dist)-packages)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/dependencies \
    FLASK_APP=app_factory
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "gunicorn"]
