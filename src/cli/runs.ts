/** The run that a command is about, by its folder or one above it. */
import { runControl } from '../../actors/run-folder/requests.ts';
import { isHeld } from '../dashboard/run-control.ts';
import type { RunView } from '../dashboard/run-view.ts';
import { Runs } from '../dashboard/runs.ts';
import { CxmindError } from '../errors.ts';

/** The runs in a folder: itself, and those below it. @throws CONFIG_INVALID where there is none */
export async function runsIn(folder: string): Promise<readonly RunView[]> {
  const views = await new Runs([folder], runControl).find();
  if (views.length > 0) return views;
  throw new CxmindError('CONFIG_INVALID', `${folder}: no run has left anything here`);
}

/**
 * The run in a folder that goes on; the folder's own where none does.
 *
 * @throws CONFIG_INVALID where there is none, or several go on
 */
export async function runIn(folder: string): Promise<RunView> {
  const views = await runsIn(folder);
  const going: RunView[] = [];
  for (const view of views) {
    if (isHeld(await runControl.holder(view.place.folder))) going.push(view);
  }
  if (going.length <= 1) return going[0] ?? views[0]!;
  const names = going.map(({ place }) => place.folder).join(', ');
  throw new CxmindError('CONFIG_INVALID', `${folder}: several runs go on here, name one: ${names}`);
}
