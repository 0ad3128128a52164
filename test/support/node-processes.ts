import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { NodeOptions } from '../../actors/runtime/placement.ts';
import { ticketFor } from '../../transport/zmq/keys.ts';
import type { Heartbeat } from '../../transport/zmq/liveness.ts';
import { exited } from './process-end.ts';
import { startHead, type Head } from './link-pair.ts';

/** Processes of this host that take part in a run over real sockets. */
export class NodeProcesses implements AsyncDisposable {
  readonly #head: Head;
  readonly #children = new Map<string, ChildProcess>();

  private constructor(head: Head) {
    this.#head = head;
  }

  /** @param heartbeat as a rule long enough for a machine that others load, short enough for a test */
  static async open(
    heartbeat: Heartbeat = { intervalMs: 200, deadAfterMs: 2_000 },
  ): Promise<NodeProcesses> {
    return new NodeProcesses(await startHead({ heartbeat }));
  }

  get endpoint(): string {
    return this.#head.listener.endpoint;
  }

  /**
   * Starts a process and resolves when it is linked.
   *
   * @param command runs the command that follows it, as `env` does
   * @param endpoint where it finds this process, if not at the listener itself
   */
  async start(
    name: string,
    command: readonly string[] = [],
    endpoint = this.endpoint,
  ): Promise<NodeOptions> {
    const entry = fileURLToPath(new URL('./node-process.ts', import.meta.url));
    const line = [...command, process.execPath, entry];
    const child = spawn(line[0]!, line.slice(1), { stdio: ['pipe', 'ignore', 'inherit'] });
    this.#children.set(name, child);
    child.stdin.end(JSON.stringify(ticketFor(endpoint, this.#head.keys)));
    return { name, link: await this.#head.nextLink(), resources: { slots: 1 } };
  }

  /** Kills a process by SIGKILL. */
  kill(name: string): void {
    this.#children.get(name)?.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#head[Symbol.asyncDispose]();
    await Promise.all([...this.#children.values()].map(exited));
  }
}
