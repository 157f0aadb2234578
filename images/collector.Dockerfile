# The collector's image, with a container engine. `make images` makes the same without one.
# The build context is the root folder of the repository:
#
#   docker build -f images/collector.Dockerfile -t spanmesh/collector .
#
# For another architecture build it there, or with emulation: `--platform linux/arm64`.

FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools
RUN rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# What the allocator is built with.
COPY .cargo .cargo
COPY crates crates
# Members of the workspace, so cargo wants to see them; only the collector is built.
COPY filter filter
COPY bench bench
COPY collector collector
RUN cargo build --locked --release --target "$(uname -m)-unknown-linux-musl" -p spanmesh-collector \
 && install -D "target/$(uname -m)-unknown-linux-musl/release/spanmesh-collector" \
      /root-of-image/usr/local/bin/spanmesh-collector \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt \
      /root-of-image/etc/ssl/certs/ca-certificates.crt \
 && mkdir /state

FROM scratch
COPY --from=build /root-of-image/ /
# Owned by the user that the collector runs as, and so is a volume that is mounted there.
COPY --from=build --chown=65532:65532 --chmod=750 /state /var/lib/spanmesh
USER 65532:65532
WORKDIR /
# For `kubectl exec POD -- spanmesh-collector doctor`.
ENV PATH=/usr/local/bin
ENTRYPOINT ["/usr/local/bin/spanmesh-collector"]
