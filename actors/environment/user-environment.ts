/**
 * A user's environment, over threads or processes that may be lost.
 *
 * Each episode belongs to one worker, which answers its turns one by one. A turn that hangs, crashes or breaks the rules
 * costs its own episode: the worker is started again, and plays the other episodes that it had from their beginnings
 * when their next turns come. So an environment is a function of an episode and its messages.
 */
import type {
  EnvironmentReply,
  EpisodeMessage,
  EpisodeStart,
  TurnReply,
  TurnRequest,
} from '../../src/environment/environment.ts';
import { replyOf, toolsOf } from '../../src/environment/load.ts';
import type { Tool } from '../../src/text/chat-template.ts';
import { Turns } from '../../src/turns.ts';
import { LOAD_LIMIT_MS } from '../user-code/user-code.ts';
import type { EnvironmentWorker } from './worker.ts';

/** An episode of a user's environment. */
export interface UserEpisode {
  readonly id: string;
  readonly start: EpisodeStart;
  readonly slot: Slot;
  /** The messages of every step so far. */
  readonly steps: (readonly EpisodeMessage[])[];
}

/** A worker and its queue. */
interface Slot {
  readonly worker: EnvironmentWorker;
  readonly turns: Turns;
  /** Episodes that ended since its last request. */
  readonly over: string[];
}

/** A user's environment with its episodes. */
export class UserEnvironment implements AsyncDisposable {
  readonly #slots: readonly Slot[];
  readonly #limitMs: number;
  #begun = 0;

  /** @param limitMs time that one step may take */
  constructor(workers: readonly EnvironmentWorker[], limitMs: number) {
    this.#slots = workers.map((worker) => ({ worker, turns: new Turns(), over: [] }));
    this.#limitMs = limitMs;
  }

  /** Loads the environment, and gives its tools. @throws ENVIRONMENT_INVALID */
  async tools(signal: AbortSignal): Promise<Tool[]> {
    const [{ worker, turns }] = this.#slots as [Slot];
    return toolsOf(await turns.run(() => worker.call(null, LOAD_LIMIT_MS, signal)));
  }

  begin(start: EpisodeStart): UserEpisode {
    const number = this.#begun++;
    const slot = this.#slots[number % this.#slots.length]!;
    return { id: String(number), start, slot, steps: [] };
  }

  /**
   * Takes a step of an episode.
   *
   * @throws ENVIRONMENT_INVALID, ACTOR_TIMEOUT or ACTOR_CRASHED, by which the episode is over; the signal's reason
   */
  step(
    { id, start, slot, steps }: UserEpisode,
    messages: readonly EpisodeMessage[],
    signal: AbortSignal,
  ): Promise<EnvironmentReply> {
    const { worker, turns, over } = slot;
    const ask = async (request: Omit<TurnRequest, 'id' | 'over'>): Promise<TurnReply> => {
      // Steps that are taken again have the time that they had.
      const limitMs = this.#limitMs * request.steps.length;
      const whole = { ...request, id, over: over.splice(0) };
      return (await worker.call(whole, limitMs, signal)) as TurnReply;
    };
    steps.push(messages);
    const fromStart = { start, steps: [...steps] };
    const isFirst = steps.length === 1;
    return turns.run(async () => {
      const newest = await ask(isFirst ? fromStart : { start: null, steps: [messages] });
      const reply = 'unknown' in newest ? await ask(fromStart) : newest;
      return replyOf('reply' in reply ? reply.reply : undefined);
    });
  }

  /** Lets go of an episode. */
  end({ id, slot }: UserEpisode): void {
    slot.over.push(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#slots.map(({ worker }) => worker[Symbol.asyncDispose]()));
  }
}
