# syntax=docker/dockerfile:1
# cxmind on NVIDIA cards. Build it from the root of a checkout:
#   docker build -f examples/docker/cuda.Dockerfile -t cxmind:cuda .

FROM node:24-bookworm-slim AS build
WORKDIR /build
# Packages come first, so that a change of the sources does not fetch them again.
COPY package.json package-lock.json .npmrc ./
COPY bin/package bin/package
# ONNX Runtime's CUDA 13 provider, in the release of onnxruntime-node.
RUN npm ci \
 && npm install --no-save com.github.asus4.onnxruntime.linux-x64-gpu@0.4.9
COPY . .
RUN npm run bundle -- /bundle

# CUDA's libraries, NVRTC and NCCL among them, and cuDNN 9; the driver is the host's.
FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04
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
