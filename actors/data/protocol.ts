/** Messages of the data actor: prompts for training and validation, reference answers, and the size of the data. */
import * as t from 'io-ts';
import { whole } from '../../src/check/scalars.ts';
import { PromptCursor } from '../../src/data/prompt-source.ts';
import { Prompt, Sequence } from '../messages.ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Size of the data, and of what was left out. */
export const DataSummary = t.type({
  trainPrompts: whole,
  validationPrompts: whole,
  overlong: whole,
  skipped: whole,
  /** Notes on rows that were skipped, and on odd ones that were not, a line each. */
  notes: t.array(t.string),
});
export interface DataSummary extends t.TypeOf<typeof DataSummary> {}

/** Calls of the data actor. */
export const dataProtocol = protocol('data', {
  summary: call(t.void, DataSummary),
  /** The next batch of training prompts, the cursor after it, the number of rows skipped so far, and new notes. */
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
  nextSolutions: call(t.void, t.type({ samples: t.array(Sequence), notes: t.array(t.string) })),
  /** Validation prompts `start` to `end`, in file order. */
  validation: call(t.type({ start: whole, end: whole }), t.type({ prompts: t.array(Prompt) })),
  /** Validation prompts with their reference answers as responses. */
  validationSolutions: call(
    t.type({ start: whole, end: whole }),
    t.type({ samples: t.array(Sequence) }),
  ),
  /** Continues from a checkpoint's cursor. */
  seek: call(PromptCursor, t.void),
});
