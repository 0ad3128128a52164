import assert from 'node:assert/strict';
import { addressesOf, hostInfo, type HostInfo } from '../../../actors/joint/host-info.ts';

const at = (kernel: string, ...addresses: string[]): HostInfo => ({
  kernel,
  addresses,
});
const loopback = ['127.0.0.1/8', '::1/128'];

describe('hostInfo', () => {
  it('says the addresses of this process as networks', () => {
    assert.ok(hostInfo().addresses.every((cidr) => /^[0-9a-f.:]+\/\d+$/.test(cidr)));
  });
});

describe('addressesOf', () => {
  it('takes the first network that all are in', () => {
    const places = [
      at('a', '192.168.1.4/24', '10.0.3.7/16', ...loopback),
      at('b', '10.0.9.1/16', ...loopback),
      at('c', '172.17.0.1/16', '10.0.0.2/16'),
    ];
    assert.deepEqual(addressesOf(places), ['10.0.3.7', '10.0.9.1', '10.0.0.2']);
  });

  it('takes IPv6 where that is what all have', () => {
    const places = [at('a', '10.1.0.1/24', 'fd00::1/64'), at('b', '10.2.0.1/24', 'fd00::2/64')];
    assert.deepEqual(addressesOf(places), ['fd00::1', 'fd00::2']);
  });

  it('takes what each has where no network has all, as behind a router', () => {
    const places = [at('a', '10.1.0.1/24', ...loopback), at('b', '10.2.0.1/24', ...loopback)];
    assert.deepEqual(addressesOf(places), ['10.1.0.1', '10.2.0.1']);
  });

  it('takes the loopback device for processes of one kernel alone', () => {
    assert.deepEqual(addressesOf([at('a', ...loopback), at('a', ...loopback)]), [
      '127.0.0.1',
      '127.0.0.1',
    ]);
    const apart = [at('a', ...loopback, '10.0.0.1/24'), at('b', ...loopback, '10.0.0.2/24')];
    assert.deepEqual(addressesOf(apart), ['10.0.0.1', '10.0.0.2']);
  });
});
