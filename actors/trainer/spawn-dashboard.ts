import { randomBytes } from 'node:crypto';
import { messageOf } from '../../src/errors.ts';
import type { DashboardProps } from '../dashboard/actor.ts';
import { dashboardProtocol } from '../dashboard/protocol.ts';
import { defaultSupervision } from '../runtime/supervisor.ts';
import type { ActorSystem } from '../runtime/system.ts';

/** Supervision of an actor that a run can do without. */
const replaceable = { ...defaultSupervision, givenUp: 'stop' } as const;
const TOKEN_BYTES = 24;
const TIMEOUT_MS = 60_000;

/** A secret for a dashboard's URL. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** Starts the dashboard of a run, which goes on without one that does not start. @returns a line with its URL */
export async function spawnDashboard(system: ActorSystem, props: DashboardProps): Promise<string> {
  try {
    const dashboard = await system.spawn({
      name: 'dashboard',
      protocol: dashboardProtocol,
      module: new URL('../dashboard/actor.ts', import.meta.url),
      create: 'dashboardActor',
      props,
      supervision: replaceable,
    });
    const url = await dashboard.ask.url(undefined, { timeoutMs: TIMEOUT_MS });
    return `dashboard: ${url}`;
  } catch (error) {
    return `warning: trainer.dashboard: the run goes on without: ${messageOf(error)}`;
  }
}
