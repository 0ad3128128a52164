/**
 * The environments of a run, which answer the policy between its turns.
 *
 * A turn's calls are read from its text and go with it to the environment, whose messages the policy sees next.
 */
import type {
  EnvironmentReply,
  EpisodeStart,
  ShownMessage,
} from '../../src/environment/environment.ts';
import { toolCallFormats, type ToolCall } from '../../src/environment/tool-calls.ts';
import { truncated } from '../../src/environment/tool-response.ts';
import type { MultiTurn } from '../../src/config/multi-turn-schema.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Tool } from '../../src/text/chat-template.ts';
import type { Logger } from '../runtime/actor.ts';
import { UserEnvironment, type UserEpisode } from './user-environment.ts';
import { pythonWorker } from './python-worker.ts';
import { threadWorker, type EnvironmentProps } from './worker.ts';

/** Settings of environments, as plain data. */
export interface EnvironmentSettings
  extends
    EnvironmentProps,
    Pick<
      MultiTurn,
      'format' | 'maxParallelCalls' | 'maxToolResponseLength' | 'toolResponseTruncateSide'
    > {
  /** Threads or processes of the user's environment. */
  readonly workers: number;
  /** Limit of one step, in milliseconds. */
  readonly limitMs: number;
}

/** An episode with its environment. */
export interface Conversation {
  readonly episode: UserEpisode;
}

/** Environments of the episodes of a run. */
export class Environments implements AsyncDisposable {
  readonly #settings: EnvironmentSettings;
  readonly #user: UserEnvironment;

  constructor(settings: EnvironmentSettings, logger: Logger) {
    const { source, kwargs, python, workers, limitMs } = settings;
    this.#settings = settings;
    const make = source.file.endsWith('.py') ? pythonWorker : threadWorker;
    const made = Array.from({ length: workers }, () => make({ source, kwargs, python }, logger));
    this.#user = new UserEnvironment(made, limitMs);
  }

  /** Functions that the policy may call. @throws ENVIRONMENT_INVALID for an environment that does not load */
  tools(signal: AbortSignal): Promise<Tool[]> {
    return this.#user.tools(signal);
  }

  begin(start: EpisodeStart): Conversation {
    return { episode: this.#user.begin(start) };
  }

  /**
   * Answers a turn of the policy.
   *
   * @param content the turn's text, without the token that ended it
   * @throws the reason why the episode cannot go on; the signal's reason
   */
  async answer(
    { episode }: Conversation,
    content: string,
    signal: AbortSignal,
  ): Promise<EnvironmentReply> {
    const { format, maxParallelCalls } = this.#settings;
    const written = toolCallFormats[format](content).slice(0, maxParallelCalls);
    const toolCalls = written.filter((call): call is ToolCall => 'name' in call);
    const turn = { role: 'assistant', content, toolCalls } as const;
    const { messages, done } = await this.#user.step(episode, [turn], signal);
    if (messages.length === 0 && !done) {
      throw new CxmindError(
        'ENVIRONMENT_INVALID',
        'environment: step: neither a message nor the end, so the policy has nothing to answer',
      );
    }
    return { messages: messages.map((message) => this.#shortened(message)), done };
  }

  end({ episode }: Conversation): void {
    this.#user.end(episode);
  }

  #shortened(message: ShownMessage): ShownMessage {
    const { maxToolResponseLength, toolResponseTruncateSide } = this.#settings;
    return truncated(message, maxToolResponseLength, toolResponseTruncateSide);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#user[Symbol.asyncDispose]();
  }
}

/** The functions that environments let the policy call. @throws ENVIRONMENT_INVALID for one that does not load */
export async function environmentTools(
  settings: EnvironmentSettings,
  logger: Logger,
  signal: AbortSignal,
): Promise<Tool[]> {
  await using environments = new Environments({ ...settings, workers: 1 }, logger);
  return await environments.tools(signal);
}
