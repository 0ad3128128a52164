/** Codec of the variables that a user gives a chat template beside those of the conversation. */
import * as t from 'io-ts';
import { left } from 'fp-ts/lib/Either.js';
import { asMapping, freeForm } from './codec.ts';
import { guarded } from './scalars.ts';

/** Variables that every conversation gives its template. */
export const conversationVariables = [
  'messages',
  'tools',
  'documents',
  'add_generation_prompt',
] as const;

/** Bounds of what a template is given, whose values it may write into the prompt again and again. */
const MOST_CHARACTERS = 16_384;
const MOST_LEVELS = 8;

/** Codec in the context of an error about a variable that is the conversation's. */
const takenName = guarded(
  `another name than those of a conversation (${conversationVariables.join(', ')})`,
  (_value): _value is never => false,
);

/** Further variables of a chat template, by name: a mapping of bounded size that leaves the conversation's alone. */
export const templateVariables: typeof freeForm = new t.Type(
  `a mapping of up to ${MOST_CHARACTERS} characters of JSON in up to ${MOST_LEVELS} levels`,
  freeForm.is,
  (input, context) => {
    const mapping = asMapping(input);
    // The levels first: JSON is written by recursion.
    if (mapping === undefined || !hasLevels(mapping, MOST_LEVELS)) return t.failure(input, context);
    if (JSON.stringify(mapping).length > MOST_CHARACTERS) return t.failure(input, context);
    const taken = conversationVariables.filter((name) => Object.hasOwn(mapping, name));
    if (taken.length === 0) return freeForm.validate(mapping, context);
    return left(
      taken.map((name) => ({
        value: mapping[name],
        context: t.appendContext(context, name, takenName, mapping[name]),
      })),
    );
  },
  t.identity,
);

/** Tells whether a value has mappings and lists in at most this many levels. */
function hasLevels(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return most > 0 && Object.values(value).every((inner) => hasLevels(inner, most - 1));
}
