/**
 * The environments of a run, which answer the policy between its turns.
 *
 * A turn's calls are read from its text. Those of servers' tools are answered by the servers; the others go with the turn
 * to the user's environment. The policy sees next what both of them say.
 */
import type {
  EnvironmentReply,
  EpisodeMessage,
  EpisodeStart,
  ShownMessage,
} from '../../src/environment/environment.ts';
import {
  toolCallFormats,
  type ToolCall,
  type WrittenCall,
} from '../../src/environment/tool-calls.ts';
import { truncated } from '../../src/environment/tool-response.ts';
import type { McpServer, MultiTurn } from '../../src/config/multi-turn-schema.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Tool } from '../../src/text/chat-template.ts';
import type { Logger } from '../runtime/actor.ts';
import type { ToolServer } from './tool-server.ts';
import { UserEnvironment, type UserEpisode } from './user-environment.ts';
import { environmentWorker, type EnvironmentProps } from './worker.ts';

/** Settings of environments, as plain data. */
export interface EnvironmentSettings extends Pick<
  MultiTurn,
  'format' | 'maxParallelCalls' | 'maxToolResponseLength' | 'toolResponseTruncateSide'
> {
  /** Null where tools of servers alone answer the policy. */
  readonly user: UserSettings | null;
  readonly servers: readonly McpServer[];
}

/** Settings of a user's environment. */
export interface UserSettings extends EnvironmentProps {
  /** Threads or processes. */
  readonly workers: number;
  /** Limit of one step, in milliseconds. */
  readonly limitMs: number;
}

/** An episode with its environment. */
export interface Conversation {
  /** Null where there is no user's environment. */
  readonly episode: UserEpisode | null;
  /** Turns that servers alone answered, and their answers, which the user's environment has not heard of. */
  readonly unseen: EpisodeMessage[];
}

/** Environments of the episodes of a run. */
export class Environments implements AsyncDisposable {
  readonly #settings: EnvironmentSettings;
  readonly #user: UserEnvironment | null = null;
  readonly #logger: Logger;
  #servers: Promise<readonly ToolServer[]> | undefined;
  /** The server of each tool. */
  readonly #serverOf = new Map<string, ToolServer>();
  #served: Promise<Tool[]> | undefined;

  constructor(settings: EnvironmentSettings, logger: Logger) {
    const { user } = settings;
    this.#settings = settings;
    this.#logger = logger;
    if (user === null) return;
    const { workers, limitMs, ...props } = user;
    const made = Array.from({ length: workers }, () => environmentWorker(props, logger));
    this.#user = new UserEnvironment(made, limitMs);
  }

  /**
   * Functions that the policy may call.
   *
   * @throws ENVIRONMENT_INVALID for an environment that does not load, a server that cannot be reached, and two tools of
   *   one name
   */
  async tools(signal: AbortSignal): Promise<Tool[]> {
    const all = [...((await this.#user?.tools(signal)) ?? []), ...(await this.#serversTools())];
    const names = all.map((tool) => tool.function.name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice === undefined) return all;
    throw new CxmindError('ENVIRONMENT_INVALID', `environment: two tools are called '${twice}'`);
  }

  begin(start: EpisodeStart): Conversation {
    return { episode: this.#user && this.#user.begin(start), unseen: [] };
  }

  /**
   * Answers a turn of the policy: calls of servers' tools by these, anything else by the user's environment. Without one
   * a turn without a call ends the episode.
   *
   * @param content the turn's text, without the token that ended it
   * @throws the reason why the episode cannot go on; the signal's reason
   */
  async answer(
    { episode, unseen }: Conversation,
    content: string,
    signal: AbortSignal,
  ): Promise<EnvironmentReply> {
    await this.#serversTools();
    const { format, maxParallelCalls } = this.#settings;
    const written = toolCallFormats[format](content).slice(0, maxParallelCalls);
    const isServers = (call: WrittenCall): boolean =>
      episode === null || ('name' in call && this.#serverOf.has(call.name));
    const results = await Promise.all(
      written
        .filter(isServers)
        .map(async (call) => this.#shortened(await this.#call(call, signal))),
    );
    const toolCalls = written.filter((call): call is ToolCall => 'name' in call);
    const turn = { role: 'assistant', content, toolCalls } as const;
    if (episode === null) return { messages: results, done: results.length === 0 };
    if (results.length > 0 && results.length === written.length) {
      unseen.push(turn, ...results);
      return { messages: results, done: false };
    }
    const heard = [...unseen.splice(0), ...results, turn];
    const { messages, done } = await this.#user!.step(episode, heard, signal);
    const shown = [...results, ...messages.map((message) => this.#shortened(message))];
    if (shown.length > 0 || done) return { messages: shown, done };
    throw new CxmindError(
      'ENVIRONMENT_INVALID',
      'environment: step: neither a message nor the end, so the policy has nothing to answer',
    );
  }

  end({ episode }: Conversation): void {
    if (episode !== null) this.#user?.end(episode);
  }

  /** Tools of all servers, each of which is asked until it answered once. */
  #serversTools(): Promise<Tool[]> {
    this.#served ??= this.#askServers().catch((error: unknown) => {
      this.#served = undefined;
      throw error;
    });
    return this.#served;
  }

  /** The servers. Their SDK has 300 modules, which a run without servers does not load. */
  #opened(): Promise<readonly ToolServer[]> {
    const { servers } = this.#settings;
    if (servers.length === 0) return Promise.resolve([]);
    this.#servers ??= import('./tool-server.ts').then(({ ToolServer: Server }) =>
      servers.map((server) => new Server(server, this.#logger)),
    );
    return this.#servers;
  }

  async #askServers(): Promise<Tool[]> {
    const all: Tool[] = [];
    for (const server of await this.#opened()) {
      const tools = await server.tools();
      for (const tool of tools) this.#serverOf.set(tool.function.name, server);
      all.push(...tools);
    }
    return all;
  }

  /** Has a call's server answer it. A call that no server knows is answered by the names of the tools that there are. */
  async #call(call: WrittenCall, signal: AbortSignal): Promise<ShownMessage> {
    if ('problem' in call) return { role: 'tool', content: call.problem };
    const server = this.#serverOf.get(call.name);
    if (server !== undefined) return await server.call(call, signal);
    const names = [...this.#serverOf.keys()].join(', ');
    return { role: 'tool', content: `there is no tool ${call.name}, only ${names}` };
  }

  #shortened(message: ShownMessage): ShownMessage {
    const { maxToolResponseLength, toolResponseTruncateSide } = this.#settings;
    return truncated(message, maxToolResponseLength, toolResponseTruncateSide);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#user?.[Symbol.asyncDispose]();
    const servers = (await this.#servers) ?? [];
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  }
}

/** The functions that environments let the policy call. @throws ENVIRONMENT_INVALID for one that does not load */
export async function environmentTools(
  settings: EnvironmentSettings,
  logger: Logger,
  signal: AbortSignal,
): Promise<Tool[]> {
  const user = settings.user && { ...settings.user, workers: 1 };
  await using environments = new Environments({ ...settings, user }, logger);
  return await environments.tools(signal);
}
