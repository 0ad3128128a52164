import * as t from 'io-ts';

/** The reference answer of a row as its data set has it: text, or any other value of JSON but null. */
export type Answer =
  string | number | boolean | readonly unknown[] | { readonly [key: string]: unknown };

function isAnswer(value: unknown): value is Answer {
  if (typeof value === 'object') return value !== null && !ArrayBuffer.isView(value);
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** Codec of an answer. */
export const Answer = new t.Type<Answer>(
  'text, a number, a list or a mapping',
  isAnswer,
  (value, context) => (isAnswer(value) ? t.success(value) : t.failure(value, context)),
  t.identity,
);

/** An answer as text, for whoever compares or teaches text: JSON, where it is not text already. */
export function answerText(answer: Answer): string {
  return typeof answer === 'string' ? answer : JSON.stringify(answer);
}
