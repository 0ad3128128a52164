import type { Environment } from 'cxmind';
import { decodeImage, type ImageSource } from '../../src/vision/decode.ts';
import { encodePng } from '../../src/vision/encode.ts';

/** The call that asks for a quarter, by its number in reading order. */
export function callOf(part: number): string {
  return `<tool_call>{"name": "look", "arguments": {"part": ${part}}}</tool_call>`;
}

/** A quarter of a grey picture, as a picture of its own. */
export async function quarterOf(image: ImageSource, part: number): Promise<Uint8Array> {
  const { width: side, data } = await decodeImage(image);
  const half = side / 2;
  const [left, top] = [half * (part % 2), half * Math.floor(part / 2)];
  const rows = Array.from({ length: half }, (_, y) => {
    const start = (top + y) * side + left;
    return data.subarray(start, start + half);
  });
  return encodePng({ width: half, height: half, data: Buffer.concat(rows) });
}

/** An environment whose tool shows a quarter of the prompt's picture. A turn without a call is the answer. */
export function quarters(): Environment {
  let image: ImageSource;
  return {
    reset: ({ images }) => {
      image = images[0]!;
    },
    step: async (messages) => {
      const turn = messages.at(-1)!;
      const part = 'toolCalls' in turn ? Number(turn.toolCalls[0]?.arguments['part']) : NaN;
      if (![0, 1, 2, 3].includes(part)) return { messages: [], done: true };
      const shown = { type: 'image', image: await quarterOf(image, part) } as const;
      return { messages: [{ role: 'user', content: [shown] }], done: false };
    },
  };
}
