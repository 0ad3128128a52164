import assert from 'node:assert/strict';
import { interpolate } from '../../../src/config/interpolate.ts';

const environment = { DATA: '/data/cxr', STEPS: '12', TEXT: '007', data: 'shadowed', EMPTY: '' };

function read(tree: Record<string, unknown>): unknown {
  const { value, issues } = interpolate(tree, () => undefined, environment);
  assert.deepEqual(issues, []);
  return value;
}

describe('references to the environment', () => {
  it('take a variable as the reference loader spells it, and shorter', () => {
    assert.deepEqual(read({ a: '${oc.env:DATA}', b: '${env:DATA}', c: '${DATA}' }), {
      a: '/data/cxr',
      b: '/data/cxr',
      c: '/data/cxr',
    });
  });

  it('read a variable that stands alone as YAML, and one inside a text as text', () => {
    assert.deepEqual(read({ steps: '${STEPS}', file: '${DATA}/closed-${TEXT}.jsonl' }), {
      steps: 12,
      file: '/data/cxr/closed-007.jsonl',
    });
  });

  it('take the default after a comma only when the variable is not set', () => {
    assert.deepEqual(read({ a: '${oc.env:NONE,5}', b: '${env:STEPS,5}', c: 'x${env:EMPTY,5}' }), {
      a: 5,
      b: 12,
      c: 'x',
    });
  });

  it('prefer a key of the config to a variable of the same name', () => {
    assert.deepEqual(read({ data: 'given', copy: '${data}' }), { data: 'given', copy: 'given' });
  });

  it('are an issue when nothing of that name is set', () => {
    const { issues } = interpolate({ a: { b: '${oc.env:NONE}' } }, () => 'x.yaml:2', environment);
    assert.deepEqual(issues, [
      { path: 'a.b', expected: '${oc.env:NONE} is not given', source: 'x.yaml:2' },
    ]);
  });
});
