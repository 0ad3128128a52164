import type { Interfaces } from '@oclif/core';
import { nearestOf } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';

/** @throws CONFIG_INVALID for a name that is none of the commands, with the one that was probably meant */
export function refuseUnknown(name: string, commands: readonly string[]): void {
  if (commands.includes(name)) return;
  const nearest = nearestOf(name, commands);
  const way = nearest === undefined ? '; `cxmind help` lists them' : `, did you mean ${nearest}?`;
  throw new CxmindError('CONFIG_INVALID', `no command ${name}${way}`, { detail: { name } });
}

/** @throws CONFIG_INVALID where flags were given that are none of the known, each with the one that was probably meant */
export function refuseUnknownFlags(
  given: readonly string[],
  known: Readonly<Record<string, Interfaces.FlagInput[string]>>,
): void {
  if (given.length === 0) return;
  const names = Object.entries(known).flatMap(([name, flag]) =>
    flag.type === 'boolean' && flag.allowNo ? [`--${name}`, `--no-${name}`] : [`--${name}`],
  );
  const lines = given.map((text) => {
    const [name = ''] = text.split('=');
    const nearest = nearestOf(name, names);
    return `no flag ${name}${nearest === undefined ? '; --help lists them' : `, did you mean ${nearest}?`}`;
  });
  throw new CxmindError('CONFIG_INVALID', lines.join('\n'), { detail: { flags: given } });
}
