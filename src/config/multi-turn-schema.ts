import type * as t from 'io-ts';
import { about, freeForm, orNull, section, withDefault } from '../check/codec.ts';
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
