/**
 * A session with a server of tools, from its opening to its end.
 *
 * It ends in steps: calls under way get their answers, within a grace period; a server over HTTP is told by a DELETE; and
 * the SDK closes the connection. A process finds its input closed then, and is terminated and at last killed where it
 * does not go by itself, after two seconds each.
 *
 * @see https://modelcontextprotocol.io/specification/2025-06-18/basic/lifecycle#shutdown
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Tool as ServerTool } from '@modelcontextprotocol/sdk/types.js';

/** Name that servers see. */
const CLIENT = { name: 'cxmind', version: '0.1.0' };
/** Longest that the end of a session waits for calls, and then for a server's answer to it. */
const GRACE_MS = 2000;

/** A session with one server. */
export class ToolSession {
  readonly client = new Client(CLIENT);
  readonly #transport: Transport;
  readonly #graceMs: number;
  readonly #open = new Set<Promise<unknown>>();
  #ending: Promise<void> | undefined;

  /**
   * @param onGone  called when the connection has ended, by either side
   * @param graceMs of each step of its end
   */
  constructor(transport: Transport, onGone: () => void, graceMs = GRACE_MS) {
    this.#transport = transport;
    this.#graceMs = graceMs;
    this.client.onclose = onGone;
  }

  /** Opens the session. @returns the server's tools by name */
  async open(timeout: number): Promise<Map<string, ServerTool>> {
    await this.client.connect(this.#transport, { timeout });
    const tools = new Map<string, ServerTool>();
    let cursor: string | undefined;
    do {
      const page = await this.client.listTools({ cursor }, { timeout });
      for (const tool of page.tools) tools.set(tool.name, tool);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return tools;
  }

  /** Makes a call, which the end of the session waits for. */
  async call<T>(make: (client: Client) => Promise<T>): Promise<T> {
    const made = make(this.client);
    const settled = made.catch(() => undefined);
    this.#open.add(settled);
    try {
      return await made;
    } finally {
      this.#open.delete(settled);
    }
  }

  /** Ends the session, once. It never fails. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await this.#withinGrace(Promise.all(this.#open));
    if (this.#transport instanceof StreamableHTTPClientTransport) {
      // A server that has forgotten the session, or is gone, says so, and that is as good.
      await this.#withinGrace(this.#transport.terminateSession().catch(() => undefined));
    }
    await this.client.close();
  }

  async #withinGrace(work: Promise<unknown>): Promise<void> {
    await Promise.race([work, delay(this.#graceMs, undefined, { ref: false })]);
  }
}
