import { nearestOf } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';

/** @throws CONFIG_INVALID for a name that is none of the commands, with the one that was probably meant */
export function refuseUnknown(name: string, commands: readonly string[]): void {
  if (commands.includes(name)) return;
  const nearest = nearestOf(name, commands);
  const way = nearest === undefined ? '; `cxmind help` lists them' : `, did you mean ${nearest}?`;
  throw new CxmindError('CONFIG_INVALID', `no command ${name}${way}`, { detail: { name } });
}
