# syntax=docker/dockerfile:1

# Three images from one file; docker-compose.yml puts them together.
#   server      (the last, so the default) `sealpost serve`, for production
#   demo        everything that `make demo` needs, in one container
#   directory   a sample company's OpenLDAP, for trying the server out
# All run as user 10001, need no capability and no writable root file system.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# .git comes along for the version number. A git worktree has none: --build-arg GOFLAGS=-buildvcs=false
ARG GOFLAGS=
# Keys in an HSM are reached through PKCS#11, which is C: no static binary, so the images below have the same libc.
RUN CGO_ENABLED=1 go build -trimpath -ldflags=-s -o /out/ ./cmd/...


FROM debian:bookworm-slim AS demo
RUN mkdir -p /etc/postgresql-common/createcluster.d \
 && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/sealpost.conf \
 && echo "slapd slapd/no_configuration boolean true" | debconf-set-selections \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates curl gpg-agent gpgsm ldap-utils libnss3-tools openssl postgresql postgresql-client slapd vsftpd \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin sealpost \
 && install -d -o sealpost -g sealpost -m 0700 /data
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
VOLUME /data
ENTRYPOINT ["sealpost", "demo", "--dir", "/data"]


FROM debian:bookworm-slim AS directory
RUN echo "slapd slapd/no_configuration boolean true" | debconf-set-selections \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ldap-utils openssl slapd \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin sealpost \
 && install -d -o sealpost -g sealpost -m 0700 /data /access
COPY internal/slapdtest/company.ldif /usr/share/sealpost/company.ldif
COPY scripts/directory /usr/local/bin/directory
USER 10001:10001
VOLUME /data /access
EXPOSE 1636
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
  CMD LDAPTLS_CACERT=/access/ca.pem ldapwhoami -x -H ldaps://127.0.0.1:1636 >/dev/null
# The host name is the one that docker-compose.yml gives the service.
ENTRYPOINT ["directory", "/data", "/access", "directory"]


FROM debian:bookworm-slim AS server
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --home-dir /etc/sealpost --shell /usr/sbin/nologin sealpost \
 && install -d -o sealpost -g sealpost -m 0700 /etc/sealpost
COPY --from=build /out/sealpost /usr/local/bin/
USER 10001:10001
VOLUME /etc/sealpost
# The public listener (CRLs, CA certificates, OCSP; plain HTTP) and the API, where server.yaml has them elsewhere, set
# SEALPOST_HEALTH too.
EXPOSE 8080 8443 8444
ENV SEALPOST_HEALTH=https://127.0.0.1:8443/api/v1/health
# --insecure: the certificate is for the name that clients use, and this is the loopback interface.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD curl --fail --silent --insecure --output /dev/null "$SEALPOST_HEALTH"
ENTRYPOINT ["sealpost"]
CMD ["serve", "--config", "/etc/sealpost/server.yaml"]
