import type { Answer } from '../../src/data/row.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { openDevice, type DeviceName } from '../../src/device/open.ts';
import { loadRewardCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import type { PromptInput } from '../../src/model/pack.ts';
import { Network } from '../../src/model/network.ts';
import { placeArena } from '../../src/model/weights/device-arena.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { slices } from '../../src/tensor/slices.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { conversationScores } from '../../src/training/conversation-scores.ts';
import { rewardInputs } from '../reward/inputs.ts';
import { rewardProtocol, type ScoreRequest } from '../reward/protocol.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import { ConversationWriter, type Pictures, type RewardMedia } from './conversation.ts';

/** Props of a reward model. */
export interface RewardModelProps {
  /** Directory of the reward model, with its tokenizer, chat template and processor. */
  readonly modelPath: string;
  /** Directory of the policy's tokenizer, which decodes responses. */
  readonly tokenizerPath: string;
  /** Device that it computes on. */
  readonly device: DeviceName;
  /** Dtype that it computes in where that is not the processor, which computes in f32. */
  readonly computeDType: FloatDType;
  /** Compute threads of the process; null is one per core. */
  readonly threads: number | null;
  readonly media: RewardMedia;
  /** Conversations of a pass. */
  readonly microBatchSize: number;
}

/** Conversations held in memory together, their pictures included. */
const AT_ONCE = 64;

/**
 * Makes a reward model on its thread: a reward actor whose scores are those of a network with a scalar head, at the last
 * token of prompt and response.
 *
 * The conversation is written by the reward model's own chat template, tokenizer and processor of images, so it may be of
 * another family than the policy. Of several turns it reads the first prompt's pictures, not those that an environment
 * showed.
 *
 * @throws CHECKPOINT_INVALID
 */
export const rewardModelActor = actorFactory(rewardProtocol, async (props: RewardModelProps) => {
  const { modelPath, device: name, threads, computeDType, microBatchSize: size } = props;
  const { config, arena } = await loadRewardCheckpoint(modelPath);
  const writer = new ConversationWriter(modelPath, config, props.media);
  const device = openDevice({ device: name, ...(threads !== null && { threads }) });
  const placed = placeArena(device, arena, computeDType);
  const model = new Network(device, config, placed, 'value', { gradientCheckpointing: false });
  const policyTokenizer = Tokenizer.load(props.tokenizerPath);
  const microBatch = { size, dynamic: false, maxTokens: Infinity };
  const actor: Actor<typeof rewardProtocol> = {
    async score(request) {
      const batch = rewardInputs(request, policyTokenizer, true);
      const scores: number[] = [];
      for (const { start, end } of slices(batch.length, size * Math.ceil(AT_ONCE / size))) {
        const conversations = await written(writer, request, batch, { start, end });
        scores.push(...(await conversationScores(model, conversations, microBatch)));
      }
      const scored = batch.map(({ response: text }, i) => ({
        ...{ text, problem: null },
        parts: { overall: scores[i]! },
      }));
      return { scored, counts: {} };
    },
    [Symbol.dispose]() {
      model[Symbol.dispose]();
      device[Symbol.dispose]();
    },
  };
  return actor;
});

/** Some of the conversations, for which the pictures of a prompt are read once. */
function written(
  writer: ConversationWriter,
  { prompts, responses }: ScoreRequest,
  batch: readonly RewardInput<Answer>[],
  { start, end }: { readonly start: number; readonly end: number },
): Promise<PromptInput[]> {
  const pictures = new Map<number, Promise<Pictures>>();
  const read = (prompt: number): Promise<Pictures> => {
    const { images = [], bitDepth } = prompts[prompt]!;
    const reading = pictures.get(prompt) ?? writer.read(images, bitDepth);
    pictures.set(prompt, reading);
    return reading;
  };
  return Promise.all(
    batch.slice(start, end).map(async (input, i) => {
      const { name, prompt } = responses[start + i]!;
      try {
        return writer.write(input, await read(prompt));
      } catch (cause) {
        const { code, message } = asCxmindError(cause);
        throw new CxmindError(code, `${name}: ${message}`, { cause });
      }
    }),
  );
}
