import { Dashboard } from '../../src/dashboard/server.ts';
import { CxmindError, toWireError } from '../../src/errors.ts';
import { runControl } from '../run-folder/requests.ts';
import { actorFactory } from '../runtime/actor.ts';
import { dashboardProtocol } from './protocol.ts';

/** Props of the dashboard of a run. */
export interface DashboardProps {
  /** Folder of the run, or of the curriculum that it is a stage of. */
  readonly folder: string;
  /** Secret of the URL. */
  readonly token: string;
  /** Port on the loopback address; a free one where it is 0, or taken. */
  readonly port: number;
}

const HOST = '127.0.0.1';

/**
 * Makes the dashboard's actor on its thread: it serves the dashboard of a run from the run's files, so that a step waits
 * for nothing.
 */
export const dashboardActor = actorFactory(
  dashboardProtocol,
  async ({ folder, token, port }: DashboardProps, { logger }) => {
    const dashboard = new Dashboard({
      ...{ folders: [folder], control: runControl, token },
      onError: (error) => logger.error({ error: toWireError(error) }, 'dashboard failed to answer'),
    });
    const url = await dashboard.listen(HOST, port).catch((error: unknown) => {
      // The port is in use.
      if (error instanceof CxmindError) return dashboard.listen(HOST, 0);
      throw error;
    });
    return { url: () => url, [Symbol.asyncDispose]: () => dashboard[Symbol.asyncDispose]() };
  },
);
