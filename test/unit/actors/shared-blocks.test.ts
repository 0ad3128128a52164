import assert from 'node:assert/strict';
import {
  SharedBlocks,
  type SharedMarker,
  type WithSharedBlocks,
} from '../../../actors/runtime/shared-blocks.ts';
import { zeros } from '../../../src/tensor/tensor.ts';

interface Props {
  readonly weights: SharedArrayBuffer;
  readonly layout: readonly { readonly name: string }[];
}

describe('SharedBlocks', () => {
  const marker: SharedMarker = { $shared: 'weights', sizeBytes: 16 };

  it('puts one zero-filled block of a name wherever its marker stands', () => {
    const blocks = new SharedBlocks();
    const props = { weights: marker, layout: [{ name: 'x' }] } satisfies WithSharedBlocks<Props>;
    const first = blocks.resolve(props) as Props;
    const second = blocks.resolve([{ again: marker }]) as [{ again: SharedArrayBuffer }];
    assert.deepEqual([...new Uint8Array(first.weights)], new Array(16).fill(0));
    assert.equal(first.weights, second[0].again);
    assert.equal(first.weights, blocks.get(marker));
    assert.deepEqual(first.layout, props.layout);
  });

  it('leaves alone what is no marker', () => {
    const tensor = zeros('f32', [2]);
    const props = { buffer: new SharedArrayBuffer(4), tensor, none: null, $shared: 'a word' };
    const resolved = new SharedBlocks().resolve(props) as typeof props;
    assert.deepEqual(resolved, props);
    assert.equal(resolved.buffer, props.buffer);
    assert.equal(resolved.tensor.data, tensor.data);
  });

  it('refuses a block of another size under a name that is taken', () => {
    const blocks = new SharedBlocks();
    blocks.get(marker);
    assert.throws(() => blocks.get({ ...marker, sizeBytes: 8 }), {
      code: 'SHAPE_MISMATCH',
      message: 'shared block weights has 16 bytes, asked for 8',
    });
  });

  it('is checked by the compiler', () => {
    // @ts-expect-error a marker has a size
    const wrong: WithSharedBlocks<Props> = { weights: { $shared: 'w' }, layout: [] };
    // @ts-expect-error a marker stands only where there is shared memory
    const misplaced: WithSharedBlocks<Props> = { weights: marker, layout: [{ name: marker }] };
    assert.ok(wrong !== misplaced);
  });
});
