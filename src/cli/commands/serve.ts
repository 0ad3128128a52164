import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Flags } from '@oclif/core';
import { ReportingCommand } from '../command.ts';
import { failureOf } from '../exit-code.ts';
import { deviceFlag, listenFlags, modelFlag, pathFlag, templateVariablesFlag } from '../flags.ts';
import { interruptible } from '../interrupt.ts';

export class Serve extends ReportingCommand {
  static override summary = "Serve a model by OpenAI's chat API.";
  static override description =
    'Routes: POST /v1/chat/completions, GET /v1/models, GET /health. Requests join the running batch as they come. ' +
    'CXMIND_API_KEY in the environment is the key that clients must send. Pictures and videos come as data URLs. The first ' +
    'Ctrl-C answers what is open and takes no more, the second ends at once.';
  static override examples = [
    '<%= config.bin %> serve --model runs/demo/model',
    '<%= config.bin %> serve --model runs/quickstart --port 9000 --served-model-name reader',
  ];
  static override usage = 'serve --model MODEL [FLAGS]';
  static override flags = {
    model: modelFlag,
    'served-model-name': Flags.string({ description: 'name in requests; by default --model' }),
    ...listenFlags(8000),
    'max-model-len': Flags.integer({
      description: 'most tokens of a conversation with its response',
      default: 4096,
      min: 2,
    }),
    'max-num-seqs': Flags.integer({ description: 'responses decoded together', min: 1 }),
    'max-queue': Flags.integer({
      description: 'requests that may wait behind --max-num-seqs; more get status 429',
      default: 64,
      min: 0,
    }),
    'max-request-bytes': Flags.integer({
      description: 'largest body of a request',
      default: 32 * 2 ** 20,
      min: 1024,
    }),
    'allowed-local-media-path': pathFlag({
      description: 'folder of pictures and videos that requests may name by file URLs',
    }),
    'default-chat-template-kwargs': templateVariablesFlag({
      description: 'variables of the chat template, as JSON; those of a request win over them',
    }),
    device: deviceFlag,
    threads: Flags.integer({
      description: 'compute threads, by default one per core but the one that the API takes',
      min: 1,
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    const { openModel } = await import('../open-model.ts');
    const { isLoopback } = await import('../../serving/http.ts');
    const { openServer } = await import('../../serving/open-server.ts');

    const { device, threads = Math.max(1, availableParallelism() - 1) } = flags;
    const name = flags['served-model-name'] ?? flags.model;
    const { CXMIND_API_KEY: given = '' } = process.env;
    const apiKey = given === '' ? null : given;
    const { output } = this;
    const warn = (text: string): void => output.warn(text);
    using model = await openModel(flags.model, {
      ...{ device, threads, imageDir: undefined, warn },
      chatTemplateKwargs: flags['default-chat-template-kwargs'],
    });
    const { checkpoint, arena, settings: chat, samples } = model;
    const { config } = checkpoint;
    const { tokenizer } = samples;
    const served = { config, device: model.device, arena, chat, tokenizer };
    await interruptible(async ({ signal }) => {
      await using server = await openServer(served, {
        servedModelName: name,
        apiKey,
        maxModelLen: flags['max-model-len'],
        maxNumSeqs: flags['max-num-seqs'],
        maxQueue: flags['max-queue'],
        maxRequestBytes: flags['max-request-bytes'],
        allowedLocalMediaPath: flags['allowed-local-media-path'] ?? null,
        onError: (error) => warn(failureOf(error).text),
      });
      const address = await server.listen(flags.host, flags.port);
      const url = `${address}/v1`;
      await output.tell({ event: 'listening', url, model: name }, `${name} at ${url}`);
      if (apiKey === null && !isLoopback(flags.host)) {
        warn('whoever reaches this address may ask; CXMIND_API_KEY asks for a key');
      }
      if (!signal.aborted) await once(signal, 'abort');
      warn('answering what is open; once more ends at once');
    });
  }
}
