import { Flags, type Interfaces } from '@oclif/core';
import { pathFlag } from './path-flag.ts';

/** The flags of `launch`. */
export const launchFlags = {
  hostfile: pathFlag({ description: 'hosts and their slots, in Open MPI syntax' }),
  host: Flags.string({
    description: 'hosts, as in node01:2,node02; narrows the hostfile where both are given',
  }),
  'default-hostfile': pathFlag({
    description: 'hosts that --hostfile may name by number, as in +n0',
  }),
  np: Flags.integer({
    char: 'n',
    description: 'slots to use, host after host; by default all',
    min: 1,
  }),
  oversubscribe: Flags.boolean({ description: 'allow more than there are slots' }),
  'head-slots': Flags.integer({
    description:
      'slots of this process itself; none beside hosts, those of its task under a scheduler',
    min: 0,
  }),
  'ssh-option': Flags.string({
    description: 'as `ssh -o` takes it; may be given several times',
    multiple: true,
    multipleNonGreedy: true,
    default: [],
  }),
  'remote-command': Flags.string({
    description: 'what starts a node on the other hosts; by default this cxmind at the same path',
  }),
  'head-address': Flags.string({
    description:
      'how nodes reach this process; by default where their ssh connections come from, or any address that answers',
  }),
  port: Flags.integer({
    description: 'listen at this port and the next; by default at free ones',
    min: 1,
    max: 65_534,
  }),
  'join-timeout': Flags.integer({
    description: 'seconds that nodes have to join',
    default: 60,
    min: 1,
  }),
  'dead-after': Flags.integer({
    description: 'seconds of silence after which a node is lost',
    default: 10,
    min: 2,
  }),
  rendezvous: pathFlag({
    description: "folder that all processes of a job see, to meet in; by default the run's",
  }),
  keys: pathFlag({
    description: 'file of keys that all processes of a job were given, to meet without a folder',
    dependsOn: ['head-address', 'port'],
  }),
  'write-keys': pathFlag({ description: 'make such a file, and stop' }),
  'keep-going': Flags.boolean({ description: 'go on when a node is lost after it joined' }),
};

/** The same, as they are parsed. */
export type LaunchFlags = Interfaces.InferredFlags<typeof launchFlags>;
