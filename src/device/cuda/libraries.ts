/** The libraries of CUDA that a card needs, for a look at each by itself. */
import { openCublas } from './cublas.ts';
import { openCudart } from './cudart.ts';
import { openDriver } from './driver.ts';
import { openLibrary, type Library } from './library.ts';
import { openNvrtc } from './nvrtc.ts';

/** Loads cuDNN, which ONNX Runtime's provider is linked with. @throws DEVICE_MISSING */
function openCudnn(): Library {
  const wayOut = 'install `libcudnn9-cuda-13` and put its folder on LD_LIBRARY_PATH';
  return openLibrary('cuDNN', ['libcudnn.so.9'], wayOut);
}

/** Loads a library of CUDA. @throws DEVICE_MISSING with what to install */
export const cudaLibraries = {
  driver: openDriver,
  cudart: openCudart,
  cublas: openCublas,
  nvrtc: openNvrtc,
  cudnn: openCudnn,
} as const;
