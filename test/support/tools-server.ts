/**
 * A server of tools over its standard streams: `add` is pure, `roll` is not, `paint` gives a picture, `fail` reports an
 * error, `hang` does not answer, `exit` ends the server. With `FAULT=list` it lists no tools, but tells its process.
 */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const pure = { readOnlyHint: true, idempotentHint: true };
const names = ['add', 'roll', 'paint', 'fail', 'hang', 'exit'];
let calls = 0;

/** A server that counts its calls. */
export function toolsServer(): McpServer {
  const tools = new McpServer({ name: 'tools', version: '1.0.0' }, { capabilities: { tools: {} } });
  const { server } = tools;
  server.setRequestHandler(ListToolsRequestSchema, () => {
    if (process.env['FAULT'] === 'list') throw new Error(`process ${process.pid} lists nothing`);
    return {
      tools: names.map((name) => ({
        name,
        description: `Tool ${name}.`,
        inputSchema: { type: 'object' as const },
        ...(name === 'add' && { annotations: pure }),
      })),
    };
  });
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    calls++;
    const { a = 0, b = 0 } = (params.arguments ?? {}) as { a?: number; b?: number };
    const said = (text: string) => ({ content: [{ type: 'text' as const, text }] });
    if (params.name === 'add') return said(`${a + b} in call ${calls}`);
    if (params.name === 'fail') return { ...said('no such page'), isError: true };
    if (params.name === 'hang') await new Promise((resolve) => setTimeout(resolve, 60_000));
    if (params.name === 'exit') process.exit(1);
    if (params.name !== 'paint') return said(`call ${calls}`);
    return { content: [{ type: 'image' as const, data: PIXEL, mimeType: 'image/png' }] };
  });
  return tools;
}

if (import.meta.main) await toolsServer().connect(new StdioServerTransport());
