# The agent, and nothing else: docker build -f deploy/docker/agent.Dockerfile -t tailrace-agent .
FROM rust:1-alpine AS build
RUN apk add --no-cache ca-certificates gcc make musl-dev
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --package tailrace-agent && cp target/dist/tailrace-agent /

FROM scratch
COPY --from=build /tailrace-agent /usr/bin/tailrace-agent
# For connections by TLS, unless collector.tls names its own authorities.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/usr/bin/tailrace-agent"]
CMD ["--config", "/etc/tailrace/agent.toml"]
