import assert from 'node:assert/strict';
import { decodeImage } from '../../src/vision/decode.ts';
import { goldenJson } from '../support/golden.ts';

describe('DICOM pictures have the levels that pydicom gives them', () => {
  const cases = goldenJson('dicom/cases.json') as Readonly<
    Record<string, { readonly file: string; readonly levels: string }>
  >;
  for (const [name, { file, levels }] of Object.entries(cases)) {
    it(name, async () => {
      const { data, width, height, wide } = await decodeImage(Buffer.from(file, 'base64'));
      assert.deepEqual({ width, height, wide }, { width: 18, height: 13, wide: null });
      assert.deepEqual(Buffer.from(data).toString('base64'), levels);
    });
  }
});
