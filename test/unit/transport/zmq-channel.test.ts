import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Link } from '../../../transport/link.ts';
import { ticketFor } from '../../../transport/zmq/keys.ts';
import { channelConformance, echo } from '../../conformance/channel.ts';
import { join, startHead, type Head } from '../../support/link-pair.ts';

describe('a link over ZeroMQ', () => {
  describe('within a process', () => {
    let head: Head;
    let [far, near]: Link[] = [];
    before(async () => {
      head = await startHead();
      [far, near] = await Promise.all([join(head), head.nextLink()]);
      far.onChannel(echo);
      near.onChannel(echo);
    });
    after(async () => {
      await far![Symbol.asyncDispose]();
      await head[Symbol.asyncDispose]();
    });

    const open = (link: Link) => {
      const channel = link.open();
      return { channel, end: () => channel.closed };
    };
    channelConformance('opened by the listener', {
      isBetweenProcesses: true,
      open: () => open(near!),
    });
    channelConformance('opened by the end that connected', {
      isBetweenProcesses: true,
      open: () => open(far!),
    });
  });

  describe('to another process', () => {
    const program = fileURLToPath(new URL('../../support/echo-process.ts', import.meta.url));
    let head: Head;
    let child: ChildProcess;
    let link: Link;
    before(async () => {
      head = await startHead();
      child = spawn(process.execPath, [program], { stdio: ['pipe', 'inherit', 'inherit'] });
      child.stdin!.end(JSON.stringify(ticketFor(head.listener.endpoint, head.keys)));
      link = await head.nextLink();
    });
    after(async () => {
      const exit = once(child, 'exit');
      await head[Symbol.asyncDispose]();
      await exit;
    });

    channelConformance('to another process', {
      isBetweenProcesses: true,
      open: () => {
        const channel = link.open();
        return { channel, end: () => channel.closed };
      },
    });
  });
});
