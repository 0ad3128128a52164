import { scorerOptions } from './options.ts';
import type { BuiltIn } from './reward.ts';
import { trimSpace } from '../text/whitespace.ts';

/** The first of the digits 0, 1 and 2 anywhere in the text; empty if none. */
function anyPosition(response: string): string {
  return /[012]/.exec(response)?.[0] ?? '';
}

/** The last of those digits that stands alone, so that neither `12` nor `v2` counts; empty if none. */
function lonePosition(response: string): string {
  return response.match(/(?<![\w.])[012](?!\w|\.\d)/g)?.at(-1) ?? '';
}

/**
 * Upstream's traffic-light game: 1 for the position of the right card, else 0.
 *
 * Faithful: the first 0, 1 or 2 anywhere counts, so `Of 10 and 25, card 2` reads as 1, and a truth with white space
 * around it is never met. Repaired: the last digit that stands alone, and white space around the truth is nothing.
 */
export const androidGui: BuiltIn = {
  configure(kwargs) {
    const { form } = scorerOptions(kwargs, {});
    const faithful = form === 'faithful';
    const read = faithful ? anyPosition : lonePosition;
    return ({ response, groundTruth }) => {
      const truth = faithful ? groundTruth : trimSpace(groundTruth);
      const accuracy = Number(read(response) === truth);
      return { overall: accuracy, accuracy };
    };
  },
};
