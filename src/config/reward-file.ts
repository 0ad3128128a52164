/** A function in a file of the user's. */
export interface RewardFile {
  readonly file: string;
  readonly name: string;
}

/**
 * The function that `worker.reward.reward_function` names by its file, `./file.ts:score`; undefined for a built-in
 * reward, whose name has no dot, slash or colon.
 *
 * @param usualName of the function, where only the file is named
 */
export function rewardFileOf(spec: string, usualName = 'main'): RewardFile | undefined {
  if (!/[:/\\.]/.test(spec)) return undefined;
  const [, file = spec, name = usualName] = /^(.+):([^:/\\]+)$/s.exec(spec) ?? [];
  return { file, name };
}
