/**
 * Frames of video files, by the programs ffmpeg and ffprobe, which users install themselves.
 *
 * `node:child_process` runs them: a package such as execa would replace no more than a timer and the wait for the end.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as t from 'io-ts';
import { parsedJson } from '../check/json.ts';
import { asCxmindError, CxmindError } from '../errors.ts';
import { openToRead } from '../files.ts';
import type { ImageSize, PlainImage } from './decoded-image.ts';
import { refuseHuge } from './pixel-limit.ts';

/** Video by the path or the bytes of its file. */
export type VideoSource = string | Uint8Array;

/** Size, length and rate of a video by its container. */
export interface VideoInfo extends ImageSize {
  /** Number of frames. */
  readonly frames: number;
  /** Mean frames per second. */
  readonly fps: number;
}

const ProbedStream = t.intersection([
  t.type({
    width: t.number,
    height: t.number,
    avg_frame_rate: t.string,
    nb_read_packets: t.string,
  }),
  t.partial({ side_data_list: t.array(t.partial({ rotation: t.number })) }),
]);
const Probed = t.type({ streams: t.array(ProbedStream) });

/** Longest run of ffmpeg over a video. A broken file may hang it. */
const TIMEOUT_MS = 600_000;

/** Containers that are read. None of them is a playlist, by which a file could make ffmpeg read others. */
const CONTAINERS =
  'matroska,mov,avi,flv,ogg,mpeg,mpegts,asf,gif,apng,mxf,ivf,h264,hevc,mpegvideo,m4v';
/** Options of a file to be read. */
const READING = ['-protocol_whitelist', 'file', '-format_whitelist', CONTAINERS];

/**
 * Calls `work` with the path of a video. Bytes are written to a temporary file: most containers need seeking, which a
 * pipe does not have.
 *
 * @throws DATA_INVALID naming the video if it is no regular file
 */
export async function withVideoFile<T>(
  source: VideoSource,
  work: (path: string) => Promise<T>,
): Promise<T> {
  if (typeof source === 'string') {
    await checkReadable(source);
    return work(source);
  }
  await using folder = await mkdtempDisposable(join(tmpdir(), 'cxmind-video-'));
  const path = join(folder.path, 'video');
  await writeFile(path, source);
  return await work(path);
}

/**
 * Reads size, length and rate of a video by ffprobe. The size is that of the shown frames, turned by a rotation mark.
 *
 * @throws DATA_INVALID naming a file that is missing or no video, or whose frames are huge; DEVICE_MISSING without
 *   ffmpeg; the signal's reason
 */
export async function probeVideo(path: string, signal?: AbortSignal): Promise<VideoInfo> {
  const entries = 'stream=width,height,avg_frame_rate,nb_read_packets:stream_side_data=rotation';
  const select = ['-select_streams', 'v:0', '-count_packets', '-show_entries', entries];
  const chunks: Buffer[] = [];
  const parameters = ['-v', 'error', ...READING, ...select, '-of', 'json', path];
  await run('ffprobe', parameters, { path, signal }, (chunk) => {
    chunks.push(chunk);
  });
  const json = parsedJson(Buffer.concat(chunks).toString());
  const [stream] = Probed.is(json) ? json.streams : [];
  if (stream === undefined) throw invalidVideo(path, 'it has no video stream');
  const [over = NaN, under = NaN] = stream.avg_frame_rate.split('/').map(Number);
  const [frames, fps] = [Number(stream.nb_read_packets), over / under];
  if (!(frames > 0 && Number.isFinite(fps) && fps > 0)) {
    throw invalidVideo(path, `${frames} frames at ${stream.avg_frame_rate} a second`);
  }
  const rotation =
    stream.side_data_list?.find((data) => data.rotation !== undefined)?.rotation ?? 0;
  const isTurned = Math.abs(rotation) % 180 === 90;
  const { width, height } = stream;
  refuseHuge(stream, (await stat(path)).size);
  return isTurned ? { width: height, height: width, frames, fps } : { width, height, frames, fps };
}

/**
 * Decodes frames of a video by ffmpeg and passes each to `take` as soon as it is whole.
 *
 * @param indices frame numbers, ascending and distinct
 * @throws DATA_INVALID if fewer can be decoded; the signal's reason
 */
export async function readFrames(
  path: string,
  { width, height }: ImageSize,
  indices: readonly number[],
  take: (frame: PlainImage) => void,
  signal?: AbortSignal,
): Promise<void> {
  const select = indices.map((index) => `eq(n\\,${index})`).join('+');
  const frameBytes = width * height * 3;
  let frame = new Uint8Array(frameBytes);
  let filled = 0;
  let count = 0;
  const receive = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + frameBytes - filled);
      frame.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < frameBytes) continue;
      take({ width, height, mode: 'RGB', data: frame, isIndexed: false });
      count++;
      frame = new Uint8Array(frameBytes);
      filled = 0;
    }
  };
  await run(
    'ffmpeg',
    [
      ...['-v', 'error', '-nostdin', ...READING, '-i', path, '-map', '0:v:0'],
      ...['-vf', `select='${select}'`, '-fps_mode', 'passthrough'],
      ...['-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
    ],
    { path, signal },
    receive,
  );
  if (count < indices.length) {
    throw invalidVideo(path, `${count} of ${indices.length} frames can be decoded`);
  }
}

/** Runs a program over a video to its end. @throws DATA_INVALID with its last message if it fails */
async function run(
  program: 'ffmpeg' | 'ffprobe',
  parameters: readonly string[],
  { path, signal }: { readonly path: string; readonly signal: AbortSignal | undefined },
  receive: (chunk: Buffer) => void,
): Promise<void> {
  const child = spawn(program, parameters, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  // The `timeout` of `spawn` keeps the process alive even if the program could not be started.
  const limit = setTimeout(() => child.kill(), TIMEOUT_MS);
  const messages: Buffer[] = [];
  child.stdout.on('data', receive);
  child.stderr.on('data', (chunk: Buffer) => messages.push(chunk));
  const code = await exitOf(child, program).finally(() => {
    clearTimeout(limit);
  });
  if (code === 0) return;
  const said = Buffer.concat(messages).toString().trim().split('\n').at(-1) ?? '';
  throw invalidVideo(
    path,
    said.replace(`${path}: `, '') || `${program} ended with ${String(code)}`,
  );
}

/** Exit code once all output is read; null for a killed process. */
async function exitOf(child: ChildProcess, program: string): Promise<number | null> {
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code;
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw cause;
    throw new CxmindError(
      'DEVICE_MISSING',
      `videos are read with ${program}, which is not installed: apt-get install ffmpeg ` +
        '(macOS: brew install ffmpeg)',
    );
  }
}

async function checkReadable(path: string): Promise<void> {
  try {
    await using _ = await openToRead(path);
  } catch (cause) {
    throw invalidVideo(path, asCxmindError(cause).message);
  }
}

function invalidVideo(path: string, reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `video ${path}: ${reason}`, { detail: { video: path } });
}
