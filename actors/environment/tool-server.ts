/**
 * Tools of a server that speaks the Model Context Protocol, revision 2025-06-18, by the official SDK.
 *
 * A server is a process of its own (stdio) or is reached over HTTP. All episodes of a rollout actor share its session, and
 * their calls run side by side. A connection that ended is opened again by the next call. Results of a tool that says it
 * changes nothing and gives the same each time (`readOnlyHint` and `idempotentHint`) are kept by the content of the call.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
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

/** Bound on the results that are kept. */
const MOST_KEPT_BYTES = 2 ** 26;
/** Name that servers see. */
const CLIENT = { name: 'cxmind', version: '0.1.0' };

/** A connected server, and its tools by name. */
interface Session {
  readonly client: Client;
  readonly tools: ReadonlyMap<string, ServerTool>;
  /** Has the next call open another session, and ends this one. */
  readonly end: () => Promise<void>;
}

/** One server with its tools. */
export class ToolServer implements AsyncDisposable {
  readonly #server: McpServer;
  readonly #logger: Logger;
  readonly #kept = new KeptResults(MOST_KEPT_BYTES);
  #session: Promise<Session> | undefined;

  constructor(server: McpServer, logger: Logger) {
    this.#server = server;
    this.#logger = logger;
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
    const session = await this.#session?.catch(() => undefined);
    await session?.client.close();
  }

  async #ask({ name, arguments: given }: ToolCall, signal: AbortSignal): Promise<ShownMessage> {
    const session = await this.#connected();
    const timeout = this.#server.timeoutSeconds * 1000;
    try {
      const request = { name, arguments: { ...given } };
      const result = await session.client.callTool(request, CallToolResultSchema, {
        signal,
        timeout,
      });
      return messageOfResult(result as CallToolResult);
    } catch (thrown) {
      signal.throwIfAborted();
      // The server refuses the call itself, its arguments for instance. That is the policy's to know.
      if (thrown instanceof McpError && !isLoss(thrown)) {
        return { role: 'tool', content: thrown.message };
      }
      // Anything else comes from the connection: the server has forgotten the session, or is not reached.
      if (!(thrown instanceof McpError)) await session.end();
      else if (isTimeout(thrown)) void letGoIfSilent(session, timeout);
      throw this.#failure(`${name}: ${messageOf(thrown)}`, thrown);
    }
  }

  #connected(): Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    const client = new Client(CLIENT);
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    const end = async (): Promise<void> => {
      forget();
      await client.close();
    };
    client.onclose = forget;
    const session = this.#connect(client).then(
      (tools) => ({ client, tools, end }),
      async (thrown: unknown) => {
        await end();
        throw this.#failure(messageOf(thrown), thrown);
      },
    );
    this.#session = session;
    return session;
  }

  /** Connects a client. @returns the tools that the policy may call */
  async #connect(client: Client): Promise<Session['tools']> {
    const { allowedTools } = this.#server;
    const timeout = LOAD_LIMIT_MS;
    await client.connect(this.#transport(), { timeout });
    const tools = new Map<string, ServerTool>();
    let cursor: string | undefined;
    do {
      const page = await client.listTools({ cursor }, { timeout });
      for (const tool of page.tools) tools.set(tool.name, tool);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    const missing = allowedTools?.find((name) => !tools.has(name));
    if (missing !== undefined) {
      throw new Error(`no tool '${missing}', only ${[...tools.keys()].join(', ')}`);
    }
    return new Map([...tools].filter(([name]) => allowedTools?.includes(name) ?? true));
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

/** Ends a session whose server does not even answer a ping. */
async function letGoIfSilent({ client, end }: Session, timeout: number): Promise<void> {
  try {
    await client.ping({ timeout });
  } catch {
    await end();
  }
}

function isTimeout({ code }: McpError): boolean {
  return code === (ErrorCode.RequestTimeout as number);
}

/** Tells whether an error says that there is no answer, rather than what the answer is. */
function isLoss(error: McpError): boolean {
  return isTimeout(error) || error.code === (ErrorCode.ConnectionClosed as number);
}

/** A tool's result as a message: texts and pictures; whatever else there is by its name. */
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
