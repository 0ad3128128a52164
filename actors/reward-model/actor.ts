import { CxmindError } from '../../src/errors.ts';
import type { Device } from '../../src/device/device.ts';
import { openDevice, type DeviceName } from '../../src/device/open.ts';
import { loadRewardCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import type { PromptInput } from '../../src/model/pack.ts';
import { ValueModel } from '../../src/model/value-model.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { lastingBuffer } from '../../src/tensor/memory.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { ChatTemplate } from '../../src/text/chat-template.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { conversationScores } from '../../src/training/conversation-scores.ts';
import { DeviceCopy, deviceCopyBytes } from '../device-copy.ts';
import { rewardInputs } from '../reward/inputs.ts';
import { rewardProtocol, type ScoreReply, type ScoreRequest } from '../reward/protocol.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';

/** Props of a reward model. */
export interface RewardModelProps {
  /** Directory of the reward model, with its tokenizer and chat template. */
  readonly modelPath: string;
  /** Directory of the policy's tokenizer, which decodes responses. */
  readonly tokenizerPath: string;
  /** Device that it computes on. */
  readonly device: DeviceName;
  /** Dtype that it computes in where that is not the processor, which computes in f32. */
  readonly computeDType: FloatDType;
  /** Compute threads of the process; null is one per core. */
  readonly threads: number | null;
  /** Conversations of a pass. */
  readonly microBatchSize: number;
}

/** Version of weights that nobody trains. */
const ONLY_VERSION = 1;

/**
 * A reward actor whose scores are those of a network with a scalar head, at the last token of prompt and response.
 *
 * The conversation is written by the reward model's own chat template and tokenizer, so it may be of another family than
 * the policy. It reads text alone.
 */
export class RewardModelActor implements Actor<typeof rewardProtocol>, Disposable {
  readonly #device: Device;
  readonly #model: ValueModel;
  readonly #policyTokenizer: Tokenizer;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;
  readonly #props: RewardModelProps;

  private constructor(device: Device, model: ValueModel, props: RewardModelProps) {
    this.#device = device;
    this.#model = model;
    this.#policyTokenizer = Tokenizer.load(props.tokenizerPath);
    this.#tokenizer = Tokenizer.load(props.modelPath);
    this.#template = ChatTemplate.load(props.modelPath);
    this.#props = props;
  }

  /** Loads the model. @throws CHECKPOINT_INVALID */
  static async open(props: RewardModelProps): Promise<RewardModelActor> {
    const { modelPath, threads, computeDType } = props;
    const { config, arena } = await loadRewardCheckpoint(modelPath);
    const device = openDevice({ device: props.device, ...(threads !== null && { threads }) });
    let computed: ConstructorParameters<typeof ValueModel>[2] = arena;
    if (props.device !== 'cpu') {
      const state = lastingBuffer(deviceCopyBytes);
      const copy = new DeviceCopy(device, arena, computeDType, state);
      await copy.bring(ONLY_VERSION);
      computed = copy.arena;
    }
    const model = new ValueModel(device, config, computed, { gradientCheckpointing: false });
    return new RewardModelActor(device, model, props);
  }

  async score(request: ScoreRequest): Promise<ScoreReply> {
    const { microBatchSize: size } = this.#props;
    const batch = rewardInputs(request, this.#policyTokenizer, true);
    const conversations = batch.map((input, i) =>
      this.#conversation(input, request.responses[i]!.name),
    );
    const microBatch = { size, dynamic: false, maxTokens: Infinity };
    const scores = await conversationScores(this.#model, conversations, microBatch);
    const scored = batch.map(({ response: text }, i) => ({
      ...{ text, problem: null },
      parts: { overall: scores[i]! },
    }));
    return { scored, counts: {} };
  }

  [Symbol.dispose](): void {
    this.#model[Symbol.dispose]();
    this.#device[Symbol.dispose]();
  }

  /** A prompt with a response to it, as the model reads them. @throws DATA_INVALID for pictures */
  #conversation(
    { messages, response }: ReturnType<typeof rewardInputs>[number],
    name: string,
  ): PromptInput {
    for (const { content } of messages) {
      if (typeof content === 'string' || content.every(({ type }) => type === 'text')) continue;
      throw new CxmindError(
        'DATA_INVALID',
        `${name}: the reward model ${this.#props.modelPath} reads text, and the prompt has pictures`,
      );
    }
    const turns = [...messages, { role: 'assistant' as const, content: response }];
    const ids = this.#tokenizer.encode(
      this.#template.render(turns, { addGenerationPrompt: false }),
    );
    const row = [...ids.keys()];
    return {
      tokenIds: tensorOf('i32', [ids.length], ids),
      positions: tensorOf('i32', [3, ids.length], [...row, ...row, ...row]),
      pixelValues: null,
      grids: [],
    };
  }
}

/** Makes a reward model on its thread. */
export const rewardModelActor = actorFactory(rewardProtocol, (props: RewardModelProps) =>
  RewardModelActor.open(props),
);
