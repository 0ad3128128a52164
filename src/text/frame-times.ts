import { roundDecimals } from '../round.ts';

/** Matches a video as chat templates write it, with its marks if they write some. */
const written = /<\|vision_start\|><\|video_pad\|><\|vision_end\|>|<\|video_pad\|>/g;

/**
 * Writes videos of a rendered conversation as frames that stand apart: each has marks of its own, after its time.
 *
 * A time is in the text before it is tokenised, since it may share a token with what stands before it. Places of more
 * videos than there are times are left as they are.
 *
 * @param times seconds of the frames of each video, in the order of the text
 * @see `Qwen3VLProcessor` of transformers 4.57, and vLLM. Later releases of transformers keep the template's own marks
 *   around all frames, which the models were not trained with
 */
export function writeFrameTimes(text: string, times: readonly (readonly number[])[]): string {
  let video = 0;
  return text.replace(written, (place) => {
    const seconds = times[video++];
    if (seconds === undefined) return place;
    // One decimal, as Python writes it.
    const tenths = seconds.map((each) => roundDecimals(each, 1).toFixed(1));
    return tenths.map((each) => `<${each} seconds>${frame}`).join('');
  });
}

const frame = '<|vision_start|><|video_pad|><|vision_end|>';
