import { join, readOrder } from '../../transport/launch/order.ts';
import { CxmindCommand } from './command.ts';
import { endSoon, serveNode } from './serve-node.ts';

export class Node extends CxmindCommand {
  static override summary = 'Host actors for a run on another host; started by launch.';
  static override description =
    'Reads from stdin what run to join and the keys for it, as launch writes them over ssh, and ends when its ' +
    'stdin or its connection to the run does.';

  async run(): Promise<void> {
    await this.parse(Node);
    const { stdin } = process;
    const abandoned = new Promise((resolve) => stdin.once('end', resolve).once('close', resolve));
    void abandoned.then(endSoon);
    try {
      const order = await readOrder(stdin);
      process.chdir(order.workingDirectory);
      await using link = await join(order, process.env['SSH_CONNECTION']);
      void abandoned.then(() => link[Symbol.asyncDispose]());
      await serveNode(link);
    } finally {
      stdin.destroy();
    }
  }
}
