# Stand-ins for the official caddy and registry images where Docker Hub is out of reach: the
# program of Debian's newer suite with a busybox around it, as the official ones have Alpine's.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS quarry
ARG NEWER_SUITE
ARG NEWER
COPY newer.sh bundle.sh /
RUN sh /newer.sh ${NEWER_SUITE} ${NEWER} \
 && apt-get -q install -y --no-install-recommends \
        busybox-static ca-certificates libcap2-bin media-types caddy docker-registry

FROM quarry AS caddy-tree
RUN sh /bundle.sh /usr/bin/caddy \
 && setcap cap_net_bind_service=+ep /out/usr/bin/caddy \
 && mkdir -p /out/etc/caddy /out/usr/share/caddy /out/config/caddy /out/data/caddy \
 && cp /etc/mime.types /out/etc/ \
 && printf ':80 {\n\troot * /usr/share/caddy\n\tfile_server\n}\n' > /out/etc/caddy/Caddyfile \
 && printf '<!doctype html><title>Caddy</title><p>Caddy works.\n' > /out/usr/share/caddy/index.html

FROM scratch AS caddy
COPY --from=caddy-tree /out /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
EXPOSE 80 443 443/udp 2019
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]

FROM quarry AS registry-tree
COPY registry.yml /registry.yml
RUN sh /bundle.sh /usr/bin/docker-registry \
 && mkdir -p /out/etc/docker/registry /out/var/lib/registry \
 && mv /out/usr/bin/docker-registry /out/usr/bin/registry \
 && cp /registry.yml /out/etc/docker/registry/config.yml

FROM scratch AS registry
COPY --from=registry-tree /out /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
EXPOSE 5000
ENTRYPOINT ["registry"]
CMD ["serve", "/etc/docker/registry/config.yml"]
