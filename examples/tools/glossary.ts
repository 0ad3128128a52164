/**
 * A server of tools by the Model Context Protocol, over its standard streams: a glossary that the policy may look words up
 * in. `../own-environment.md` has the config that starts it. It says that its tool changes nothing and always gives the same,
 * so that equal calls are answered once.
 */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const meanings: Readonly<Record<string, string>> = {
  cardiomegaly: 'a heart wider than half of the chest',
  effusion: 'fluid between lung and chest wall, which blunts the angle at the base',
  pneumothorax: 'air between lung and chest wall, with no lung markings in it',
};

const tool = {
  name: 'look_up',
  description: 'Explains a finding of a chest radiograph.',
  inputSchema: {
    type: 'object' as const,
    properties: { finding: { type: 'string', enum: Object.keys(meanings) } },
    required: ['finding'],
  },
  annotations: { readOnlyHint: true, idempotentHint: true },
};

const glossary = new McpServer(
  { name: 'glossary', version: '1.0.0' },
  { capabilities: { tools: {} } },
);
const { server } = glossary;
server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [tool] }));
server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
  const finding = String(params.arguments?.['finding']);
  const meaning = Object.hasOwn(meanings, finding) ? meanings[finding] : undefined;
  const text = meaning ?? `no such finding; known are ${Object.keys(meanings).join(', ')}`;
  return { content: [{ type: 'text' as const, text }], isError: meaning === undefined };
});
await glossary.connect(new StdioServerTransport());
