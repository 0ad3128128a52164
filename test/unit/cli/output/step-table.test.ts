import assert from 'node:assert/strict';
import type { StepLine, SupervisedLine } from '../../../../actors/trainer/report/reporter.ts';
import {
  durationText,
  supervisedColumns,
  tableLines,
  trainingColumns,
} from '../../../../src/cli/output/step-table.ts';

const line: StepLine = {
  step: 7,
  steps: 130,
  reward: 0.5,
  accuracy: 0.25,
  kl: 0.00012,
  clipFraction: 0.0125,
  gradNorm: 1.5,
  responseLength: 61.25,
  tokensPerSecond: 5321.4,
  seconds: 0.875,
  secondsLeft: 3725,
};

describe('the table of steps', () => {
  it('has all its columns where there is room, and the time left', () => {
    const { heading, cells } = tableLines(trainingColumns, line, 120);
    assert.equal(
      heading,
      '     step reward accuracy       kl clipped grad norm  length tokens/s seconds     left',
    );
    assert.equal(
      cells,
      '    7/130  0.500    0.250  0.00012  0.0125     1.500    61.3     5321    0.88  1:02:05',
    );
    assert.deepEqual(tableLines(trainingColumns, line, Infinity), { heading, cells });
  });

  it('leaves out columns until it fits', () => {
    const headings = (width: number): string[] =>
      tableLines(trainingColumns, line, width)
        .heading.trim()
        .split(/ (?! |norm)+/)
        .map((text) => text.trim());
    assert.deepEqual(headings(80).length, 9);
    assert.ok(!headings(80).includes('clipped'));
    assert.equal(
      tableLines(trainingColumns, line, 60).heading,
      '     step reward accuracy grad norm  length seconds     left',
    );
    assert.equal(
      tableLines(trainingColumns, line, 20).heading,
      '     step reward accuracy     left',
    );
    for (let width = 34; width <= 130; width++) {
      const { heading, cells } = tableLines(trainingColumns, line, width);
      assert.ok(heading.length <= width && cells.length === heading.length, String(width));
    }
  });

  it('has a form for supervised training, which fits likewise', () => {
    const supervised: SupervisedLine = {
      step: 7,
      steps: 26,
      loss: 1.23456,
      gradNorm: 12.5,
      learningRate: 1e-3,
      tokensPerSecond: 5321.4,
      seconds: 0.875,
      secondsLeft: 61,
    };
    const lines = (width: number): string[] =>
      Object.values(tableLines(supervisedColumns, supervised, width));
    assert.deepEqual(lines(80), [
      '     step     loss grad norm       lr tokens/s seconds     left',
      '     7/26   1.2346    12.500  1.00e-3     5321    0.88     1:01',
    ]);
    assert.equal(lines(60)[0], '     step     loss grad norm       lr seconds     left');
    assert.equal(lines(30)[0], '     step     loss     left');
  });

  it('keeps its width whatever the numbers are', () => {
    const wild = [NaN, Infinity, -Infinity, -12345.678, 1e9, 1e-9, 123456789.123];
    for (const value of wild) {
      const odd = Object.fromEntries(Object.keys(line).map((key) => [key, value]));
      const { heading, cells } = tableLines(
        trainingColumns,
        { ...line, ...odd, step: 99999, steps: 100000 },
        80,
      );
      assert.ok(heading.length <= 80, heading);
      assert.equal(cells.length, heading.length, cells);
    }
  });

  it('tells time as people do', () => {
    assert.deepEqual([0, 9.4, 59.7, 3599, 3600, 359_999, 360_000, 1e7, NaN].map(durationText), [
      '0:00',
      '0:09',
      '1:00',
      '59:59',
      '1:00:00',
      '99:59:59',
      '4d 04h',
      '115d 17h',
      '?',
    ]);
  });
});
