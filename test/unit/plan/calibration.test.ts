import assert from 'node:assert/strict';
import { join } from 'node:path';
import {
  calibrationFile,
  keepCalibration,
  readCalibration,
} from '../../../src/plan/calibration.ts';
import { noWork, weighed, workOf } from '../../../src/plan/counted/work.ts';
import { fittedRates } from '../../../src/plan/fit.ts';
import { ratesOf, thisMachine, threadsOn } from '../../../src/plan/machines.ts';
import { withVariables } from '../../support/environment.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('the calibration of a machine', () => {
  const prior = workOf({ products: 1e-11, moved: 1e-10, programs: 1e-5, scalars: 1e-9 });

  it('finds the seconds of kinds of work that measurements tell apart', () => {
    const real = workOf({ products: 1.3e-11, moved: 0.8e-10, programs: 1.2e-5 });
    const works = [
      workOf({ products: 1e10, moved: 1e6, programs: 10 }),
      workOf({ products: 1e6, moved: 1e9, programs: 10 }),
      workOf({ products: 1e6, moved: 1e6, programs: 2000 }),
      workOf({ products: 5e9, moved: 1e9, programs: 100 }),
    ];
    const measured = works.map((work) => ({ work, seconds: weighed(work, real) }));
    const fitted = fittedRates(measured, prior);
    for (const kind of ['products', 'moved', 'programs'] as const) {
      // The ridge pulls each towards the common factor, by less than a hundredth of the distance.
      assert.ok(Math.abs(fitted[kind] / real[kind] - 1) < 0.01, `${kind}: ${fitted[kind]}`);
    }
    assert.equal(fitted.copied, 0);
  });

  it('keeps the proportions of kinds that it cannot tell apart, and never goes below 0', () => {
    const work = workOf({ products: 1e9, moved: 1e8 });
    const seconds = 3 * weighed(work, prior);
    const { products, moved, scalars } = fittedRates([{ work, seconds }], prior);
    assert.ok(Math.abs(products / 3e-11 - 1) < 1e-9);
    assert.ok(Math.abs(moved / 3e-10 - 1) < 1e-9);
    assert.ok(Math.abs(scalars / 3e-9 - 1) < 1e-9);
    const most = [
      { work: workOf({ products: 1e10 }), seconds: 1 },
      { work: workOf({ products: 1e10, moved: 1e10 }), seconds: 0.9 },
    ];
    assert.ok(fittedRates(most, prior).moved >= 0);
  });

  it('is kept in the cache of the user, and counts on this machine alone', async () => {
    using directory = new TemporaryDirectory();
    await withVariables({ XDG_CACHE_HOME: directory.path }, async () => {
      assert.equal(calibrationFile(), join(directory.path, 'cxmind/calibration.json'));
      assert.equal(await readCalibration(), null);
      const threads = threadsOn(thisMachine(null), null);
      const measured = { seconds: workOf({ products: 2e-11 }), threads, baseBytes: 5e8 };
      await keepCalibration(measured);
      assert.deepEqual(await readCalibration(), measured);
      assert.deepEqual(ratesOf(thisMachine(measured), 'cpu', 'f32', null), measured.seconds);
      // Those of other threads are no word on this run.
      const other = thisMachine({ ...measured, threads: threads + 1 });
      const uncalibrated = ratesOf(thisMachine(null), 'cpu', 'f32', null);
      assert.deepEqual(ratesOf(other, 'cpu', 'f32', null), uncalibrated);
      assert.notDeepEqual(uncalibrated, noWork);
    });
  });
});
