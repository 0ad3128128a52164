/** Flags and arguments that several commands take. */
import { Args, Errors, Flags } from '@oclif/core';
import { isLeft } from 'fp-ts/lib/Either.js';
import { formatIssue, issuesOf } from '../check/issues.ts';
import { parsedJson } from '../check/json.ts';
import { templateVariables } from '../check/template-variables.ts';
import { deviceChoice, type DeviceChoice } from '../config/compute.ts';
import { localPath } from '../files.ts';

const parsePath = (name: string): Promise<string> => Promise.resolve(localPath(name));

/** A flag that names a file or folder of this machine, as `localPath` reads it. */
export const pathFlag = Flags.custom({ parse: parsePath });

/** An argument that names a file or folder of this machine, as `localPath` reads it. */
export const pathArg = Args.custom({ parse: parsePath });

/** `RUN`: the folder of a run that has begun. */
export const runArg = pathArg({
  description: 'folder of a run, or of a curriculum',
  required: true,
});

/** `--model`: the checkpoint of a command that runs a model as it is. */
export const modelFlag = pathFlag({
  description:
    'checkpoint directory, folder of a run (its best checkpoint), global_step_N, or an id on the hub',
  required: true,
});

/** `--ssh-option`: options of the connections to other hosts. */
export const sshOptionFlag = Flags.string({
  description: 'as `ssh -o` takes it; may be given several times',
  multiple: true,
  multipleNonGreedy: true,
});

/** `--host` and `--port`: where a server listens. */
export const listenFlags = (port: number) => ({
  host: Flags.string({ description: 'address to listen on', default: '127.0.0.1' }),
  port: Flags.integer({
    description: 'port to listen at; 0 takes a free one',
    default: port,
    min: 0,
    max: 65_535,
  }),
});

/** `--device`: the device that a command computes on. */
export const deviceFlag = Flags.custom<DeviceChoice>({
  description: `where to compute: ${deviceChoice.name}; auto is a card where one can be used`,
  parse: (input) => {
    if (deviceChoice.is(input)) return Promise.resolve(input);
    const reason = `--device: expected ${deviceChoice.name}, got "${input}"`;
    return Promise.reject(new Errors.CLIError(reason));
  },
})();

/** A flag with variables of a chat template, as `templateVariables` reads them. */
export const templateVariablesFlag = Flags.custom<Readonly<Record<string, unknown>>>({
  description: 'further variables of the chat template, as JSON: {"enable_thinking": false}',
  parse: (text, _context, { name }) => {
    const decoded = templateVariables.decode(parsedJson(text) ?? text);
    if (!isLeft(decoded)) return Promise.resolve(decoded.right);
    const lines = issuesOf(templateVariables, decoded.left).map(({ path, ...issue }) =>
      formatIssue({ ...issue, path: `--${name}${path && `.${path}`}` }),
    );
    return Promise.reject(new Errors.CLIError(lines.join('\n')));
  },
});
