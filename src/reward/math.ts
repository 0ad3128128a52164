/** Rewards `math` and `r1v` of EasyR1, for questions of mathematics: layout of a response, accuracy of its answer. */
import { collapseTags, isThinkAndAnswer } from './grammar.ts';
import { boxedContent, gradeAnswer } from './math-grader.ts';
import { scorerOptions, share } from './options.ts';
import type { BuiltIn, AnsweredText, RewardParts } from './reward.ts';
import { trimSpace } from '../text/whitespace.ts';

/** Tells whether a text begins with a think block and has a closed box behind it. */
function isThinkAndBox(text: string): boolean {
  if (!text.startsWith('<think>')) return false;
  const thought = text.indexOf('</think>', '<think>'.length);
  const box = thought < 0 ? -1 : text.indexOf('\\boxed{', thought + '</think>'.length);
  return box >= 0 && text.includes('}', box + '\\boxed{'.length);
}

/** Score of both rewards: the weighted sum of format and accuracy. */
function scored(format: boolean, accuracy: boolean, formatWeight: number): RewardParts {
  const parts = { format: Number(format), accuracy: Number(accuracy) };
  return { overall: (1 - formatWeight) * parts.accuracy + formatWeight * parts.format, ...parts };
}

/**
 * Reward `math` of EasyR1: a thought in think tags, then the answer in a box.
 *
 * Faithful: white space beside `<`, `>` and `/` is deleted first, white space before the first tag spoils the format,
 * a response without a box is graded as the answer `None`, and the grader has the errors that `gradeAnswer` lists.
 * Repaired: the box is read as it is written, the response is trimmed, and a response without a box is never right.
 */
export const math: BuiltIn = {
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, { format_weight: share(0.1) });
    return ({ response, groundTruth }: AnsweredText) => {
      const clean = collapseTags(response);
      const format = isThinkAndBox(form === 'faithful' ? clean : trimSpace(clean));
      const answer = form === 'faithful' ? (boxedContent(clean) ?? 'None') : boxedContent(response);
      const accuracy = answer !== undefined && gradeAnswer(answer, groundTruth, form);
      return scored(format, accuracy, values.format_weight);
    };
  },
};

/** Content of the first answer block if it is one line, else the whole response. */
function firstLineAnswer(response: string): string {
  return trimSpace(/<answer>([^\n]*?)<\/answer>/.exec(response)?.[1] ?? response);
}

/** Content of the last answer block; undefined if there is none. */
function lastAnswer(response: string): string | undefined {
  const end = response.lastIndexOf('</answer>');
  const start = end < 0 ? -1 : response.lastIndexOf('<answer>', end);
  return start < 0 ? undefined : trimSpace(response.slice(start + '<answer>'.length, end));
}

/**
 * Reward `r1v` of EasyR1: one think block, then one answer block.
 *
 * Faithful: white space around the response spoils the format, an answer of several lines is not seen, and a response
 * without an answer block is graded as a whole. Repaired: none of these holds, and the last answer block counts.
 */
export const r1v: BuiltIn = {
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, { format_weight: share(0.5) });
    const faithful = form === 'faithful';
    return ({ response, groundTruth }: AnsweredText) => {
      const format = isThinkAndAnswer(faithful ? response : trimSpace(response));
      const answer = faithful ? firstLineAnswer(response) : lastAnswer(response);
      const accuracy = answer !== undefined && gradeAnswer(answer, trimSpace(groundTruth), form);
      return scored(format, accuracy, values.format_weight);
    };
  },
};
