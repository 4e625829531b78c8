# A lab host: stands for a fresh Pi with Docker already installed.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS common
ARG NEWER_SUITE
ARG NEWER
COPY newer.sh /
RUN sh /newer.sh ${NEWER_SUITE} ${NEWER} \
 && apt-get -q install -y --no-install-recommends \
        docker.io docker-cli docker-compose iptables ca-certificates curl python3 sudo \
        openssh-server cron socat iproute2 procps tini-static restic restic-rest-server \
        systemd-standalone-sysusers \
 && rm -f /newer.sh /etc/ssh/ssh_host_* \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/share/doc/* /usr/share/man/* \
        /usr/share/locale/*
RUN useradd --create-home --shell /bin/bash --groups sudo pi \
 && echo pi:raspberry | chpasswd \
 && mkdir -p /var/log/journal /etc/docker /usr/local/lib/homeport-lab
COPY daemon.json /etc/docker/daemon.json
COPY firstboot.sh seed.sh relay.sh ready.sh /usr/local/lib/homeport-lab/

# One flavour without systemd: an init of 1980, cron, and nothing that starts things again.
FROM common AS cron
COPY init.sh /usr/local/lib/homeport-lab/
COPY edge.tar /usr/local/lib/homeport-lab/
ENTRYPOINT ["tini-static", "--", "/bin/sh", "/usr/local/lib/homeport-lab/init.sh"]

# The other with systemd as PID 1. What would reach through to this machine's kernel is masked.
FROM common AS systemd
RUN apt-get -q update && apt-get -q install -y --no-install-recommends \
        systemd systemd-sysv libpam-systemd dbus dbus-user-session \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && systemctl mask systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service \
        proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount sys-kernel-tracing.mount \
        sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount systemd-udevd.service \
        getty.target console-getty.service systemd-firstboot.service kmod-static-nodes.service \
        systemd-pstore.service e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer \
        restic-rest-server.service \
 && mkdir -p /etc/systemd/journald.conf.d \
 && printf '[Journal]\nReadKMsg=no\nStorage=persistent\n' > /etc/systemd/journald.conf.d/lab.conf
COPY lab-firstboot.service lab-seed.service lab-relay.service /etc/systemd/system/
RUN systemctl enable docker.service ssh.service cron.service \
        lab-firstboot.service lab-seed.service lab-relay.service
COPY edge.tar /usr/local/lib/homeport-lab/
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/sbin/init"]
