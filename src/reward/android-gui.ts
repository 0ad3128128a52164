import { scorerOptions } from './options.ts';
import type { BuiltIn } from './reward.ts';
import { trimSpace } from '../text/whitespace.ts';

/** First of the digits 0, 1 and 2 anywhere in the text; empty if there is none. */
function anyPosition(response: string): string {
  return /[012]/.exec(response)?.[0] ?? '';
}

/** Last of the digits 0, 1 and 2 that stands alone, so neither `12` nor `v2` counts; empty if there is none. */
function lonePosition(response: string): string {
  return response.match(/(?<![\w.])[012](?!\w|\.\d)/g)?.at(-1) ?? '';
}

/**
 * Reward `android_gui` of EasyR1, for a game with cards: 1 for the position of the right card, else 0.
 *
 * Faithful: the first 0, 1 or 2 anywhere counts, so `Of 10 and 25, card 2` reads as 1, and a truth with white space
 * around it never matches. Repaired: the last digit that stands alone counts, and the truth is trimmed.
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
