import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { hostsOf, type Host } from '../../../../transport/launch/allocation.ts';
import { parseHostList } from '../../../../transport/launch/host-list.ts';
import { parseHostfile, readHostfile } from '../../../../transport/launch/hostfile.ts';
import { isRefused } from '../../../support/refusal.ts';
import { TemporaryDirectory } from '../../../support/temporary-directory.ts';

function hosts(text: string, pool?: readonly Host[]): Host[] {
  const options = { bareSlots: 'cores', ...(pool === undefined ? {} : { pool }) } as const;
  return hostsOf(parseHostfile(text, 'hosts'), options);
}

/** `node01 2, node02 4<=6`: hosts, their slots and their limits. */
function summary(all: readonly Host[]): string {
  return all
    .map(({ host, user, port, slots, maxSlots }) => {
      const who = user === undefined ? host : `${user}@${host}`;
      const where = port === undefined ? who : `${who}:${port}`;
      return `${where} ${slots}${maxSlots === Infinity ? '' : `<=${maxSlots}`}`;
    })
    .join(', ');
}

function listed(list: string, pool?: readonly Host[]): string {
  const options = { bareSlots: 1, ...(pool === undefined ? {} : { pool }) } as const;
  return summary(hostsOf(parseHostList(list, '--host'), options));
}

const limits = ['cpu', 'count', 'slots'].flatMap((key) => [
  `max-${key}`,
  `max_${key}`,
  `${key}-max`,
  `${key}_max`,
]);

/** Hosts and slots as Open MPI 4.1.4 gave them: `mpirun --hostfile F --do-not-launch --display-map true`. */
const asMpirun: Readonly<Record<string, readonly [hostfile: string, expected: string]>> = {
  slots: ['node01 slots=2\nnode02 slots=1\n', 'node01 2, node02 1'],
  'a last line without its end': ['node01 slots=2\nnode02 slots=1', 'node01 2, node02 1'],
  'comments and blank lines': [
    '# a\n\nnode01 slots=1 # b\n// c\nnode02 slots=1 // d\n/* e */\n',
    'node01 1, node02 1',
  ],
  'comments over several lines': [
    'node01 slots=1 /* a\nnode09 slots=2\n b */ node02 slots=1',
    'node01 1, node02 1',
  ],
  'tabs, and blanks around the sign': ['\tnode01\tslots = 3', 'node01 3'],
  'cpu and count': ['node01 cpu=2\nnode02 count=3', 'node01 2, node02 3'],
  limits: ['node01 slots=2 max_slots=4\nnode02 max-slots=6 slots=3', 'node01 2<=4, node02 3<=6'],
  'a limit alone, which is also the slots': ['node01 max_slots=3', 'node01 3<=3'],
  'limits in every spelling': [
    limits.map((key, i) => `n${i} ${key}=2`).join('\n'),
    limits.map((_, i) => `n${i} 2<=2`).join(', '),
  ],
  'a host listed once for each slot': [
    'node02\nnode01\nnode02\nnode02\nnode01',
    'node02 3, node01 2',
  ],
  users: ['alice@node01 slots=1\nnode02 username=bob slots=1', 'alice@node01 1, bob@node02 1'],
  addresses: [
    'bob@10.0.0.1 slots=1\nfe80::1 slots=1\n2001:db8::7 cpu=2 max-cpu=3',
    'bob@10.0.0.1 1, fe80::1 1, 2001:db8::7 2<=3',
  ],
  'a name of digits': ['3 slots=1', '3 1'],
  'lines of a rankfile': [
    'rank 0=node01 slot=0\nrank 1=node02 slot=1\nrank 2=node02 slot=0',
    'node01 cores, node02 2',
  ],
};

describe('parseHostfile', () => {
  for (const [name, [text, expected]] of Object.entries(asMpirun)) {
    it(`reads ${name}`, () => assert.equal(summary(hosts(text)), expected));
  }

  it('gives a host without slots as many as it has cores', () => {
    assert.equal(summary(hosts('node01\nnode02 slots=2')), 'node01 cores, node02 2');
  });

  it('adds up what several lines give a host', () => {
    assert.equal(summary(hosts('a slots=2\nb slots=1\na slots=3\na')), 'a 6, b 1');
  });

  it('reads addresses in brackets, ports of ssh, domains and Windows line ends', () => {
    const text =
      '[fe80::1%eth0] slots=1\r\nbob@[::1] slots=2 port=2222\r\nnode-x.example.com slots=1';
    assert.equal(summary(hosts(text)), 'fe80::1%eth0 1, bob@::1:2222 2, node-x.example.com 1');
  });

  it('takes words on hardware that nothing depends on', () => {
    assert.equal(summary(hosts('a slots=1 sockets=2 cores_per_socket=4 cpu_set="0-1,3"')), 'a 1');
  });

  it('leaves out excluded hosts', () => {
    assert.equal(summary(hosts('a slots=1\nb slots=1\n^a')), 'b 1');
  });

  const wrong: readonly (readonly [line: string, message: string])[] = [
    ['node01 slots', 'slots lacks its value, as in slots=2'],
    ['node01 slots=', 'slots lacks its value, as in slots=2'],
    ['node01 slots=two', 'slots=two: expected a whole number'],
    ['node01 slots=-1', 'slots=-1: expected a whole number'],
    ['node01 slot=2', 'slot: unknown, did you mean slots?'],
    ['node01 cpus=2', 'cpus: unknown, did you mean cpu?'],
    ['node01 node02', 'node02: expected key=value, as in slots=2'],
    [
      'node01:4',
      "node01:4: neither a host name nor an address; slots are written 'node01 slots=4'",
    ],
    ['node01,node02', 'node01,node02: neither a host name nor an address'],
    ['-oProxyCommand=x', '-oProxyCommand=x: neither a host name nor an address'],
    ['-l@node01', "'-l' is no user name"],
    ['node01 username=-l', "'-l' is no user name"],
    ['[fe80::1', '[fe80::1: neither a host name nor an address'],
    ['+x1', '+x1: relative hosts are +n0, +n1, ... , and +e or +e:2 for empty ones'],
    ['^node01 slots=2', 'a host that is excluded has no settings'],
    ['node01 slots=4 max_slots=2', 'max_slots=2 is less than slots=4'],
  ];
  for (const [line, message] of wrong) {
    it(`refuses '${line}' and says where and what is meant`, () => {
      assert.throws(() => parseHostfile(`# one\n\n${line}\n`, 'hosts'), {
        code: 'CONFIG_INVALID',
        message: `hosts:3: ${message}`,
      });
    });
  }

  it('tells everything that is wrong at once', () => {
    assert.throws(() => parseHostfile('a slots=x\nb slots=1\nc:2\n', 'hosts'), {
      message:
        "hosts:1: slots=x: expected a whole number\nhosts:3: c:2: neither a host name nor an address; slots are written 'c slots=2'",
    });
  });

  it('counts lines through comments', () => {
    assert.throws(() => parseHostfile('/* 1\n2\n*/ a:1', 'hosts'), { message: /^hosts:3: / });
  });

  it('reads back whatever it is given, and fails on nothing else than by CONFIG_INVALID', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => {
        isRefused('CONFIG_INVALID', () => parseHostfile(text, 'hosts'));
      }),
    );
  });
});

describe('readHostfile', () => {
  it('names the file that is not there', async () => {
    using folder = new TemporaryDirectory();
    await assert.rejects(readHostfile(`${folder.path}/none`), {
      code: 'CONFIG_INVALID',
      message: /none: cannot read this hostfile: no such file or directory$/,
    });
  });

  it('refuses a file without an end', async function () {
    if (!existsSync('/dev/zero')) this.skip();
    await assert.rejects(readHostfile('/dev/zero'), {
      code: 'CONFIG_INVALID',
      message: '/dev/zero: more than 16777216 bytes are no hostfile',
    });
  });
});

describe('relative hosts', () => {
  const pool = hosts('d1 slots=4\nd2 slots=4\nd3 slots=4\nd4 slots=4\nd5 slots=4');

  it('count from 0 in the hosts to choose from, and empty ones are those that nothing else names', () => {
    // the layout of orte_hosts(7), whose ranks 7 and 8 go back to d3: here its slots stand together
    const layout = '+n2 slots=2\n+e:1\nd4 slots=1\n+n2 slots=2\n+e';
    assert.equal(summary(hosts(layout, pool)), 'd3 4, d1 4, d4 1, d2 4, d5 4');
  });

  it('are refused when there is nothing to choose from', () => {
    assert.throws(() => hosts('+n0 slots=1'), {
      code: 'CONFIG_INVALID',
      message:
        /^hosts:1: \+n0 is relative to a list of hosts, and there is none: give it by --default/,
    });
  });

  it('are refused beyond the last host', () => {
    assert.throws(() => hosts('+n5', pool), {
      message: 'hosts:1: +n5: there are 5 hosts, from +n0 (d1) to +n4',
    });
  });

  it('are refused when there are too few empty ones', () => {
    assert.throws(() => hosts('d1\nd2\n+e:4', pool), {
      message: 'hosts:3: +e:4: asks for 4 hosts that nothing else names, and there are 3',
    });
  });
});

describe('parseHostList', () => {
  const pool = hosts('a slots=2\nalice@b slots=2 port=23\nc slots=3');

  it('gives hosts a slot for each time they are listed, or the number behind the colon', () => {
    assert.equal(listed('a,b:2,a,c:*'), 'a 2, b 2, c cores');
    assert.equal(listed('[fe80::1]:2,::1,bob@[::2]'), 'fe80::1 2, ::1 1, bob@::2 1');
  });

  it('narrows the hosts of a hostfile', () => {
    assert.equal(listed('b', pool), 'alice@b:23 2');
    assert.equal(listed('c:1,a', pool), 'c 1, a 2');
    assert.equal(listed('+n1,+e:1', pool), 'alice@b:23 2, a 2');
    assert.equal(listed('+n2:1,+e', pool), 'c 1, a 2, alice@b:23 2');
    assert.equal(listed('^b', pool), 'a 2, c 3');
  });

  it('refuses hosts that are not in the hostfile, and more slots than they have there', () => {
    assert.throws(() => listed('d', pool), {
      message: '--host: d is not among the hosts given: a, b, c',
    });
    assert.throws(() => listed('a:5', pool), {
      message: '--host: a has 2 slots, and 5 are asked for',
    });
  });

  it('refuses what is no list', () => {
    assert.throws(() => listed('a:x'), { message: /--host: a:x: expected HOST:SLOTS/ });
    assert.throws(() => listed('a,,b'), { code: 'CONFIG_INVALID' });
    assert.throws(() => listed('^a', hosts('a slots=1')), {
      message: /no host to start on is left/,
    });
  });
});
