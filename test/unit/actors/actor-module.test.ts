import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { addressOfModule, entryModule, moduleAt } from '../../../actors/runtime/actor-module.ts';

const rollout = new URL('../../../actors/rollout/actor.ts', import.meta.url);

describe('module addresses', () => {
  it('name a module of this package by its place in the package', () => {
    assert.equal(addressOfModule(rollout), 'cxmind:actors/rollout/actor.ts');
    assert.equal(moduleAt('cxmind:actors/rollout/actor.ts').href, rollout.href);
    assert.equal(
      moduleAt('cxmind:actors/rollout/actor.js').href,
      rollout.href,
      'of a host whose package is built',
    );
  });

  it('leave other modules where they are', () => {
    const theirs = pathToFileURL('/opt/their/actor.ts');
    assert.equal(addressOfModule(theirs), theirs.href);
    assert.equal(moduleAt(theirs.href).href, theirs.href);
  });

  it('are files and nothing else', () => {
    const refused = ['data:text/javascript,0', 'https://host/x.js', 'node:fs', 'cxmind:../../x.js'];
    for (const address of refused) {
      assert.throws(() => moduleAt(address), { code: 'WIRE_INVALID' }, address);
    }
    assert.throws(() => moduleAt('no address'), { code: 'WIRE_INVALID' });
  });

  it('find what the runtime starts by file', () => {
    assert.match(entryModule('thread-entry').href, /actors\/runtime\/thread-entry\.ts$/);
  });
});
