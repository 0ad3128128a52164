/** A function in a user's file. */
export interface RewardFile {
  readonly file: string;
  readonly name: string;
}

/**
 * The function that `worker.reward.reward_function` names by its file, `./file.ts:score`.
 *
 * @param usualName name of the function where only the file is named
 * @returns undefined for a built-in reward, whose name has no dot, slash or colon
 */
export function rewardFileOf(spec: string, usualName = 'main'): RewardFile | undefined {
  if (!/[:/\\.]/.test(spec)) return undefined;
  const [, file = spec, name = usualName] = /^(.+):([^:/\\]+)$/s.exec(spec) ?? [];
  return { file, name };
}
