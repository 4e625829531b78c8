# The stand-in for the official python:3.13-slim where Docker Hub is out of reach.
ARG BASE=debian:trixie-slim
FROM ${BASE} AS made
# The names the official image has; pip may install into the system, as it may there.
RUN apt-get -q update \
 && apt-get -q install -y --no-install-recommends python3 python3-venv python3-pip \
 && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED \
 && ln -s /usr/bin/python3 /usr/local/bin/python3 \
 && ln -s /usr/bin/python3 /usr/local/bin/python \
 && printf '#!/bin/sh\nexec /usr/local/bin/python3 -m pip "$@"\n' > /usr/local/bin/pip \
 && chmod 755 /usr/local/bin/pip && ln -s pip /usr/local/bin/pip3 \
 && find / -xdev -name __pycache__ -prune -exec rm -rf {} + \
 && if [ -s /usr/local/share/homeport-lab/ca.crt ]; then \
        cp /usr/local/share/homeport-lab/ca.crt /etc/ssl/certs/ca-certificates.crt; fi \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/share/doc/* /usr/share/man/*

FROM scratch
COPY --from=made / /
# The machine's own CA bundle is in place; pip and uv look at these variables for it.
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
CMD ["python3"]
