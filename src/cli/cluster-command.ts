import type { Gather } from '../../transport/launch/cluster.ts';
import { CxmindCommand } from './command.ts';

/** A command that can share its work out among the nodes of a launch. */
export abstract class ClusterCommand extends CxmindCommand {
  /**
   * Runs the command.
   *
   * @param gather brings the nodes together, and is called once all that can be checked before was found right;
   *   undefined where this process does all by itself
   */
  abstract runOn(gather: Gather | undefined): Promise<void>;

  /** Where the run's files will be: every process of a launch finds this by itself. */
  abstract folder(): Promise<string>;

  run(): Promise<void> {
    return this.runOn(undefined);
  }
}
