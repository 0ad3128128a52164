import * as t from 'io-ts';
import { PromptCursor } from '../../src/data/prompt-source.ts';
import { Prompt, Sequence, whole } from '../messages.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** The size of the data, and what was left out of it. */
export const DataSummary = t.type({
  trainPrompts: whole,
  validationPrompts: whole,
  overlong: whole,
  skipped: whole,
  /** Rows that were skipped, and what was found odd about those that were not: a line each. */
  notes: t.array(t.string),
});
export interface DataSummary extends t.TypeOf<typeof DataSummary> {}

/** What the data actor can be asked. */
export const dataProtocol = protocol('data', {
  summary: call(t.void, DataSummary),
  /**
   * The next batch of training prompts, where the source stands after it, the rows skipped so far, and what is new to
   * say about them.
   */
  nextPrompts: call(
    t.void,
    t.type({
      prompts: t.array(Prompt),
      cursor: PromptCursor,
      skipped: whole,
      notes: t.array(t.string),
    }),
  ),
  /** The next batch of prompts with their reference answers as responses. */
  nextSolutions: call(
    t.void,
    t.type({ samples: t.array(Sequence), cursor: PromptCursor, notes: t.array(t.string) }),
  ),
  /** Validation prompts `start` to `end`, in file order. */
  validation: call(t.type({ start: whole, end: whole }), t.type({ prompts: t.array(Prompt) })),
  /** The same prompts with their reference answers as responses. */
  validationSolutions: call(
    t.type({ start: whole, end: whole }),
    t.type({ samples: t.array(Sequence) }),
  ),
  /** Go on from a checkpoint's cursor. */
  seek: call(PromptCursor, t.void),
});
