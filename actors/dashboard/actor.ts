import { Dashboard } from '../../src/dashboard/server.ts';
import { CxmindError, toWireError } from '../../src/errors.ts';
import { runControl } from '../run-folder/requests.ts';
import { actorFactory, type Actor, type Logger } from '../runtime/actor.ts';
import { dashboardProtocol } from './protocol.ts';

export interface DashboardProps {
  /** Folder of the run, or of the curriculum that it is a stage of. */
  readonly folder: string;
  /** Secret of the URL. */
  readonly token: string;
  /** Port on the loopback address; a free one where it is 0, or taken. */
  readonly port: number;
}

const HOST = '127.0.0.1';

/** Serves the dashboard of a run on a thread of its own, from the run's files, so that a step waits for nothing. */
export class DashboardActor implements Actor<typeof dashboardProtocol> {
  readonly #dashboard: Dashboard;
  readonly #url: string;

  private constructor(dashboard: Dashboard, url: string) {
    this.#dashboard = dashboard;
    this.#url = url;
  }

  static async open(
    { folder, token, port }: DashboardProps,
    logger: Logger,
  ): Promise<DashboardActor> {
    const dashboard = new Dashboard({
      ...{ folders: [folder], control: runControl, token },
      onError: (error) => logger.error({ error: toWireError(error) }, 'dashboard failed to answer'),
    });
    const url = await dashboard.listen(HOST, port).catch((error: unknown) => {
      // The port is in use.
      if (error instanceof CxmindError) return dashboard.listen(HOST, 0);
      throw error;
    });
    return new DashboardActor(dashboard, url);
  }

  url(): string {
    return this.#url;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dashboard[Symbol.asyncDispose]();
  }
}

/** Makes the dashboard's actor on its thread. */
export const dashboardActor = actorFactory(dashboardProtocol, (props: DashboardProps, { logger }) =>
  DashboardActor.open(props, logger),
);
