import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadLibrary } from '../../src/native.ts';

/**
 * Folder in which Debian's chromium keeps a Vulkan driver that computes on the processor, SwiftShader, and its loader.
 */
const folder = '/usr/lib/chromium';
const driver = join(folder, 'vk_swiftshader_icd.json');
/** Held, since a library that nobody refers to is unloaded. */
const loaded: ReturnType<typeof loadLibrary>[] = [];

/**
 * Gives this process a graphics card in software, for WebGPU; false where chromium is not installed.
 *
 * ONNX Runtime asks for libvulkan by name, and finds the one that is loaded already.
 */
export function loadSoftwareGpu(): boolean {
  if (!existsSync(driver)) return false;
  process.env['VK_DRIVER_FILES'] = driver;
  process.env['VK_ICD_FILENAMES'] = driver;
  loaded.push(loadLibrary(join(folder, 'libvulkan.so.1')));
  return true;
}
