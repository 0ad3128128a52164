/**
 * Tools of a server that speaks the Model Context Protocol, revision 2025-06-18, by the official SDK.
 *
 * A server is a process of its own (stdio) or is reached over HTTP. All episodes of a rollout actor share its session,
 * and their calls run side by side. A connection that ended is opened again by the next call. Results of a tool that says
 * it changes nothing and gives the same each time (`readOnlyHint` and `idempotentHint`) are kept by the content of the
 * call.
 */
import {
  getDefaultEnvironment,
  StdioClientTransport,
} from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CallToolResultSchema,
  ErrorCode,
  McpError,
  type CallToolResult,
  type Tool as ServerTool,
} from '@modelcontextprotocol/sdk/types.js';
import type { Readable } from 'node:stream';
import type { McpServer } from '../../src/config/multi-turn-schema.ts';
import type { ShownMessage } from '../../src/environment/environment.ts';
import type { ToolCall } from '../../src/environment/tool-calls.ts';
import { CxmindError, messageOf } from '../../src/errors.ts';
import type { Tool } from '../../src/text/chat-template.ts';
import type { Logger } from '../runtime/actor.ts';
import { LOAD_LIMIT_MS, logPrinted } from '../user-code/user-code.ts';
import { KeptResults } from './kept-results.ts';
import { ToolSession } from './tool-session.ts';

/** Bound on the results that are kept. */
const MOST_KEPT_BYTES = 2 ** 26;

/** A connected server, and its tools by name. */
interface ConnectedServer {
  readonly session: ToolSession;
  readonly tools: ReadonlyMap<string, ServerTool>;
}

/** One server with its tools. */
export class ToolServer implements AsyncDisposable {
  readonly #server: McpServer;
  readonly #logger: Logger;
  readonly #kept = new KeptResults(MOST_KEPT_BYTES);
  readonly #graceMs: number | undefined;
  /** Sessions that are ending. */
  readonly #ending = new Set<Promise<void>>();
  /** The session that calls go to, and its opening. */
  #current:
    | { readonly session: ToolSession; readonly opened: Promise<ConnectedServer> }
    | undefined;

  /** @param graceMs of each step of a session's end; that of `ToolSession` if absent */
  constructor(server: McpServer, logger: Logger, graceMs?: number) {
    this.#server = server;
    this.#logger = logger;
    this.#graceMs = graceMs;
  }

  /**
   * The tools that the policy may call: those of `allowed_tools`, or all.
   *
   * @throws ENVIRONMENT_INVALID when the server cannot be reached, or lacks an allowed tool
   */
  async tools(): Promise<Tool[]> {
    const { tools } = await this.#connected();
    return [...tools.values()].map(({ name, description, inputSchema }) => ({
      type: 'function',
      function: {
        name,
        ...(description !== undefined && { description }),
        parameters: inputSchema,
      },
    }));
  }

  /**
   * Calls a tool. What the tool itself reports as an error is a message like any other.
   *
   * @throws ENVIRONMENT_INVALID when the server does not answer in time, or is gone; the signal's reason
   */
  async call(call: ToolCall, signal: AbortSignal): Promise<ShownMessage> {
    const { tools } = await this.#connected();
    const { readOnlyHint = false, idempotentHint = false } =
      tools.get(call.name)?.annotations ?? {};
    if (!readOnlyHint || !idempotentHint) return await this.#ask(call, signal);
    const key = JSON.stringify([call.name, call.arguments]);
    return await this.#kept.of(key, () => this.#ask(call, signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#current?.opened.catch(() => undefined);
    await this.#current?.session.end();
    await Promise.all(this.#ending);
  }

  async #ask({ name, arguments: given }: ToolCall, signal: AbortSignal): Promise<ShownMessage> {
    const { session } = await this.#connected();
    const timeout = this.#server.timeoutSeconds * 1000;
    try {
      const request = { name, arguments: { ...given } };
      const result = await session.call((client) =>
        client.callTool(request, CallToolResultSchema, { signal, timeout }),
      );
      return messageOfResult(result as CallToolResult);
    } catch (thrown) {
      signal.throwIfAborted();
      // The server refuses the call itself, its arguments for instance. That is the policy's to know.
      if (thrown instanceof McpError && !isLoss(thrown)) {
        return { role: 'tool', content: thrown.message };
      }
      // Anything else comes from the connection: the server has forgotten the session, or is not reached.
      if (!(thrown instanceof McpError)) this.#leave(session);
      else if (isTimeout(thrown)) void this.#leaveIfSilent(session, timeout);
      throw this.#failure(`${name}: ${messageOf(thrown)}`, thrown);
    }
  }

  #connected(): Promise<ConnectedServer> {
    if (this.#current !== undefined) return this.#current.opened;
    const onGone = (): void => this.#forget(session);
    const session = new ToolSession(this.#transport(), onGone, this.#graceMs);
    const opened = this.#connect(session).catch(async (thrown: unknown) => {
      this.#forget(session);
      await session.end();
      throw this.#failure(messageOf(thrown), thrown);
    });
    this.#current = { session, opened };
    return opened;
  }

  /** Has the next call open another session, if calls go to this one. */
  #forget(session: ToolSession): void {
    if (this.#current?.session === session) this.#current = undefined;
  }

  /** Opens a session with the tools that the policy may call. */
  async #connect(session: ToolSession): Promise<ConnectedServer> {
    const { allowedTools } = this.#server;
    const tools = await session.open(LOAD_LIMIT_MS);
    const missing = allowedTools?.find((name) => !tools.has(name));
    if (missing !== undefined) {
      throw new Error(`no tool '${missing}', only ${[...tools.keys()].join(', ')}`);
    }
    const called = [...tools].filter(([name]) => allowedTools?.includes(name) ?? true);
    return { session, tools: new Map(called) };
  }

  /** Ends a session that calls go to no more, and whose other calls may still be answered. */
  #leave(session: ToolSession): void {
    this.#forget(session);
    const ending = session.end().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Leaves a session whose server does not even answer a ping. */
  async #leaveIfSilent(session: ToolSession, timeout: number): Promise<void> {
    try {
      await session.client.ping({ timeout });
    } catch {
      this.#leave(session);
    }
  }

  #transport(): Transport {
    const { command, args, env, url, headers } = this.#server;
    if (url !== null) {
      const requestInit = { headers: { ...headers } };
      return new StreamableHTTPClientTransport(new URL(url), { requestInit });
    }
    const transport = new StdioClientTransport({
      command: command!,
      args: [...args],
      env: { ...getDefaultEnvironment(), ...env },
      stderr: 'pipe',
    });
    logPrinted(transport.stderr as Readable, this.#logger, `server ${this.#server.name}`);
    return transport;
  }

  #failure(why: string, cause: unknown): CxmindError {
    const message = `worker.rollout.mcp_servers: ${this.#server.name}: ${why}`;
    return new CxmindError('ENVIRONMENT_INVALID', message, { cause });
  }
}

function isTimeout({ code }: McpError): boolean {
  return code === (ErrorCode.RequestTimeout as number);
}

/** True for an error by which no answer came. Any other error of the protocol is the server's answer. */
function isLoss(error: McpError): boolean {
  return isTimeout(error) || error.code === (ErrorCode.ConnectionClosed as number);
}

/** A tool's result as a message: its texts and pictures, and any other part by the name of its type. */
function messageOfResult({ content }: CallToolResult): ShownMessage {
  return {
    role: 'tool',
    content: content.map((part) => {
      if (part.type === 'image') return { type: 'image', image: Buffer.from(part.data, 'base64') };
      if (part.type === 'text') return { type: 'text', text: part.text };
      const text =
        part.type === 'resource' && 'text' in part.resource ? part.resource.text : `[${part.type}]`;
      return { type: 'text', text };
    }),
  };
}
