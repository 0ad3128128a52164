# syntax=docker/dockerfile:1
# cxmind on processors. Build it from the root of a checkout:
#   docker build -f examples/docker/cpu.Dockerfile -t cxmind:cpu .

FROM node:24-bookworm-slim AS build
WORKDIR /build
# Packages come first, so that a change of the sources does not fetch them again.
COPY package.json package-lock.json .npmrc ./
COPY bin/package bin/package
RUN npm ci
COPY . .
RUN npm run bundle -- /bundle

FROM debian:bookworm-slim
# ffmpeg reads videos, python3 runs rewards written in Python, ssh starts nodes on other hosts.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates ffmpeg openssh-client python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home cxmind \
 && install -d -o cxmind -g cxmind /work
COPY --from=build /bundle /opt/cxmind
RUN ln -s /opt/cxmind/cxmind /usr/local/bin/cxmind
USER cxmind
WORKDIR /work
ENTRYPOINT ["cxmind"]
CMD ["help"]
