/** Keys of responses of several turns: the environment between the turns, and servers of tools. */
import type * as t from 'io-ts';
import {
  about,
  closed,
  freeForm,
  listOf,
  orNull,
  recordOf,
  section,
  withDefault,
} from '../check/codec.ts';
import { above, bool, oneOf, positiveInt, text } from '../check/scalars.ts';

/** `worker.rollout.multi_turn`: an environment that answers between the policy's turns. */
export const MultiTurn = section({
  enable: about('Responses of several turns.', withDefault(bool, false)),
  environment: about(
    'cxmind: `FILE[:FUNC]`, TypeScript, JavaScript or Python, whose function makes the environment of an episode.',
    orNull(text),
  ),
  environmentKwargs: about("cxmind: the function's argument.", withDefault(freeForm, {})),
  maxAssistantTurns: about(
    'Turns of the policy in a response; null sets no limit.',
    orNull(positiveInt),
  ),
  maxUserTurns: about('Answers of the environment; null sets no limit.', orNull(positiveInt)),
  maxParallelCalls: about(
    'Calls of tools of one turn that are answered; more are dropped.',
    withDefault(positiveInt, 1),
  ),
  maxToolResponseLength: about(
    "Longest text of a tool's message, in characters.",
    withDefault(positiveInt, 256),
  ),
  toolResponseTruncateSide: about(
    'The side that is kept of a longer one, `left` or `right`, or both ends (`middle`).',
    withDefault(oneOf('left', 'middle', 'right'), 'middle'),
  ),
  format: about("How the policy writes a tool's call.", withDefault(oneOf('hermes'), 'hermes')),
  timeoutSeconds: about(
    'cxmind: longest one step of the environment may take; then its episode is left out.',
    withDefault(above(0), 60),
  ),
  python: about('cxmind: interpreter of an environment in Python.', withDefault(text, 'python3')),
  numWorkers: about(
    'cxmind: threads or processes of the environment beside each rollout actor.',
    withDefault(positiveInt, 1),
  ),
});
export interface MultiTurn extends t.TypeOf<typeof MultiTurn> {}

const textsByName = recordOf(text, 'a mapping of names to texts');

/** `worker.rollout.mcp_servers[]`: a server whose tools the policy may call. */
export const McpServer = closed({
  name: about('Name of the server in messages.', text),
  command: about('Program that speaks over its standard streams.', orNull(text)),
  args: about("The program's arguments.", withDefault(listOf(text), [])),
  env: about('Variables of its environment besides the usual ones.', withDefault(textsByName, {})),
  url: about('Or the address of a server that is reached by Streamable HTTP.', orNull(text)),
  headers: about('Headers of its requests.', withDefault(textsByName, {})),
  allowedTools: about('The tools that the policy may call; null is all.', orNull(listOf(text))),
  timeoutSeconds: about(
    'Longest one call may take; then its episode is left out.',
    withDefault(above(0), 30),
  ),
});
export interface McpServer extends t.TypeOf<typeof McpServer> {}
