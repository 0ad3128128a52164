import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ChatRequest } from '../../src/reward/judge/chat-client.ts';

/** A request that a server got. */
export interface JudgeCall {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly request: ChatRequest;
  /** Text of its last turn. */
  readonly asked: string;
}

/** Answer of the server to a request: a text, another HTTP answer, none at all (`stall`), or a closed connection. */
type Reply =
  | string
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly fault: 'stall' | 'close' };

/** An OpenAI-compatible endpoint on this machine whose answers a test decides. */
export class JudgeServer implements AsyncDisposable {
  readonly calls: JudgeCall[] = [];
  /** Most requests under way at a time. */
  most = 0;
  readonly #server: Server;
  #open = 0;

  private constructor(reply: (call: JudgeCall, index: number) => Reply | Promise<Reply>) {
    this.#server = createServer((incoming, outgoing) => {
      this.most = Math.max(this.most, ++this.#open);
      outgoing.once('close', () => this.#open--);
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const request = JSON.parse(Buffer.concat(chunks).toString()) as ChatRequest;
        const asked = request.messages.at(-1)!.content;
        const call = { path: incoming.url!, headers: incoming.headers, request, asked };
        const index = this.calls.push(call) - 1;
        void Promise.resolve(reply(call, index)).then((said) => {
          if (typeof said === 'object' && 'fault' in said) {
            if (said.fault === 'close') incoming.socket.destroy();
            return;
          }
          const { status, headers, body } =
            typeof said === 'string'
              ? { status: 200, headers: {}, body: completionOf(said) }
              : { headers: {}, body: '', ...said };
          outgoing.writeHead(status, headers).end(body);
        });
      });
    });
  }

  static async open(
    reply: (call: JudgeCall, index: number) => Reply | Promise<Reply>,
  ): Promise<JudgeServer> {
    const server = new JudgeServer(reply);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** The body of a completion that took 10 and 2 tokens. */
function completionOf(content: string): string {
  return JSON.stringify({
    choices: [{ message: { role: 'assistant', content } }],
    usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
  });
}
