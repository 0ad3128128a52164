/** Pictures and videos by their URLs. Nothing is fetched, so that a request cannot make the server call other hosts. */
import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ImageSource } from '../vision/decode.ts';
import { refusal } from './refusal.ts';

/** Files that requests may name. */
export interface MediaAccess {
  /** Folder of files that requests may name by `file:` URLs; null refuses them all. */
  readonly allowedLocalMediaPath: string | null;
}

const dataUrl = /^data:(image|video)\/[\w.+-]+;base64,/;

/**
 * The picture or video of a `data:` URL, or of a `file:` URL below the allowed folder.
 *
 * @param param field of the request, for errors
 * @throws DATA_INVALID, a refusal with status 400
 */
export async function mediaOf(
  kind: 'image' | 'video',
  url: string,
  param: string,
  { allowedLocalMediaPath: folder }: MediaAccess,
): Promise<ImageSource> {
  const [header, found] = dataUrl.exec(url.slice(0, 100)) ?? [];
  if (found === kind) return Buffer.from(url.slice(header!.length), 'base64');
  if (!url.startsWith('file:')) {
    const expected = `expected a data URL of ${kind === 'image' ? 'a picture' : 'a video'} in base64`;
    throw refusal(400, `${param}: ${expected}; nothing is fetched`, { param });
  }
  // Links are followed first, so that none leads out of the folder. A missing file is told like one outside.
  const path = await fileAt(url);
  const root = folder === null ? null : await realpath(folder).catch(() => null);
  if (path === null || root === null || !path.startsWith(root.endsWith(sep) ? root : root + sep)) {
    const way = 'only files below --allowed-local-media-path are read';
    throw refusal(400, `${param}: ${way}`, { param });
  }
  return path;
}

/** Real path of a `file:` URL; null where there is none. */
async function fileAt(url: string): Promise<string | null> {
  try {
    return await realpath(fileURLToPath(url));
  } catch {
    return null;
  }
}
