/** Flags that decide how responses are sampled. Each stands for a key of the config's `Sampling`. */
import { readFile } from 'node:fs/promises';
import { Errors, Flags } from '@oclif/core';
import { messageOf } from '../errors.ts';
import { localPath } from '../files.ts';

/** The flags that have no default of their own. */
export const controlFlags = {
  'min-p': Flags.string({ description: "least share of the likeliest token's probability" }),
  'repetition-penalty': Flags.string({
    description: 'above 1, tokens of prompt and response come less often',
  }),
  'presence-penalty': Flags.string({ description: 'taken off logits of tokens that were said' }),
  'frequency-penalty': Flags.string({
    description: 'taken off logits of tokens for each time that they were said',
  }),
  'bad-words': Flags.string({
    description: 'text that no answer has; may be given again',
    multiple: true,
    multipleNonGreedy: true,
  }),
  regex: Flags.string({
    description: 'regular expression that every answer matches as a whole',
    exclusive: ['json-schema'],
  }),
  'json-schema': Flags.custom<Readonly<Record<string, unknown>>>({
    description: 'file with a JSON schema that every answer follows',
    parse: schemaIn,
  })(),
  'best-of': Flags.string({
    description: 'sample this many answers and keep the --n whose tokens are likeliest',
  }),
};

/** The key that each flag stands for. */
export const samplingKeys = {
  n: 'n',
  temperature: 'temperature',
  'top-p': 'top_p',
  'top-k': 'top_k',
  seed: 'seed',
  'min-p': 'min_p',
  'repetition-penalty': 'repetition_penalty',
  'presence-penalty': 'presence_penalty',
  'frequency-penalty': 'frequency_penalty',
  'bad-words': 'bad_words',
  regex: 'structured_outputs.regex',
  'json-schema': 'structured_outputs.json',
  'best-of': 'best_of',
} as const;

async function schemaIn(path: string): Promise<Readonly<Record<string, unknown>>> {
  let schema: unknown;
  try {
    // A shell may give a pipe, as in `--json-schema <(jq …)`, which `readWhole` refuses.
    schema = JSON.parse(await readFile(localPath(path), 'utf8'));
  } catch (cause) {
    throw new Errors.CLIError(`--json-schema: ${path}: ${messageOf(cause)}`);
  }
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) {
    return schema as Readonly<Record<string, unknown>>;
  }
  throw new Errors.CLIError(`--json-schema: ${path}: expected a mapping`);
}
