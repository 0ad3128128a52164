/**
 * Tests of what keys of the config do, with the keys beside them.
 *
 * `test/unit/effects/every-key.test.ts` reads the keys off the sources, and fails for a key of the schema without a test
 * and for an `effectOf` without a test behind it. So keys and items are literals, in which `${role}` stands for the actor
 * and the critic.
 */

/** Says that the test or the loop over tests in the next statement shows what keys of the config do. */
export function effectOf(...keys: readonly string[]): void {
  if (keys.length === 0) throw new Error('effectOf: no key');
}

/** A test for each item of a command line, `path.to.key=value`, that shows what its key does. */
export function effects(
  title: string,
  items: readonly string[],
  test: (item: string) => Promise<void>,
): void {
  for (const item of items) it(`${title}: ${item}`, () => test(item));
}
