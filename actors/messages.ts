/** Parts of messages that several roles share: prompts, sequences, pictures, progress and metrics. */
import * as t from 'io-ts';
import { bytes, whole } from '../src/check/scalars.ts';
import { Answer, roles } from '../src/data/row.ts';
import { BitDepth } from '../src/vision/sample-depth.ts';
import { tensor } from '../transport/tensor-codec.ts';

/** Patches of 8-bit pixels, as levels. */
export const PatchLevels = t.type({
  levels: tensor('u8', ['N', 'C', 'F', 'pixels']),
  values: tensor('f32', ['channels', 'levels']),
  frames: whole,
});

/** Tokens, positions and patches of a prompt, which a policy computes on. */
export const PromptInput = t.type({
  tokenIds: tensor('i32', ['T']),
  positions: tensor('i32', ['axes', 'T']),
  pixelValues: t.union([PatchLevels, tensor('f32', ['N', 'patch']), t.null]),
  grids: t.array(t.tuple([whole, whole, whole])),
});

const ContentPart = t.union([
  t.type({ type: t.literal('text'), text: t.string }),
  t.type({ type: t.keyof({ image: null, video: null }) }),
]);

/** Turn of a conversation, as chat templates get it. */
const Message = t.type({
  role: t.keyof({ ...roles, tool: null }),
  content: t.union([t.string, t.readonlyArray(ContentPart)]),
});

/** A prompt as rewards see it: formatted text, the conversation that it ends, and the columns of its row. */
export const PromptContext = t.type({
  text: t.string,
  messages: t.array(Message),
  columns: t.record(t.string, t.unknown),
});
export interface PromptContext extends t.TypeOf<typeof PromptContext> {}

/** A prompt of the data set, under an id that is unique in it. */
export const Prompt = t.type({
  promptId: t.string,
  context: PromptContext,
  groundTruth: Answer,
  input: PromptInput,
  /**
   * The prompt's pictures, paths or bytes of files, where an environment, a reward or a record of responses wants them.
   */
  images: t.readonlyArray(t.union([t.string, bytes])),
  /** Used bits of 16-bit samples, in these pictures and in those that an environment shows. */
  bitDepth: BitDepth,
});
export interface Prompt extends t.TypeOf<typeof Prompt> {}

/** Pictures inside a response, with the positions of all its tokens. */
export const ResponseMedia = t.type({
  positions: tensor('i32', ['axes', 'T']),
  pixelValues: t.union([PatchLevels, tensor('f32', ['N', 'patch'])]),
  grids: t.array(t.tuple([whole, whole, whole])),
});
export interface ResponseMedia extends t.TypeOf<typeof ResponseMedia> {}

/** The parts of a sequence: a prompt, the tokens of a response to it, and pictures among these, if there are any. */
export const sequenceParts = {
  prompt: PromptInput,
  response: tensor('i32', ['T']),
  media: t.union([ResponseMedia, t.null]),
};

/** A prompt with a response to it. */
export const Sequence = t.type(sequenceParts);
export interface Sequence extends t.TypeOf<typeof Sequence> {}

/** Shared counters that a long call keeps up to date for progress bars, i32; each call says what they count. */
export const Progress = tensor('i32', ['counters']);

/** Metric values by name, one per micro-batch or optimizer step. */
export const MetricLists = t.record(t.string, t.array(t.number));
