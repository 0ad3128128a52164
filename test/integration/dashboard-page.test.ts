import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunLock } from '../../actors/run-folder/lock.ts';
import { RequestBox, runControl } from '../../actors/run-folder/requests.ts';
import { Dashboard } from '../../src/dashboard/server.ts';
import { Chromium, hasChromium, type Page } from '../support/chromium.ts';
import { chart, click, faintTexts, texts, written } from '../support/page-expressions.ts';
import {
  findingLines,
  madeValue,
  metricLine,
  sampleLine,
  writeMadeRun,
} from '../support/made-run.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const token = 'a-token-of-the-test';
const STEPS = 40;
const METRICS = 4;
const WIDE = { width: 1280, height: 900 };
const views = [
  ...['overview', 'metrics', 'timeline', 'actors'],
  ...['samples', 'validation', 'config', 'log'],
];

/** Markup, a script, colours of a terminal, an override of direction, and characters without width. */
const hostile =
  '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>\u001b[31mred \u202egnp.exe\u2066 a\u200bb';

/** A number as the page writes it, with four digits. */
function shown(value: number): string {
  return String(Number(value.toPrecision(4))).replace('-', '−');
}

if (hasChromium()) {
  describe('the page of the dashboard, in Chromium', dashboardPage);
} else {
  describe('the page of the dashboard', () => {
    it('is skipped: Debian’s chromium, in which it is shown, is not installed');
  });
}

function dashboardPage(): void {
  let temporary: TemporaryDirectory;
  let folder: string;
  let lock: RunLock;
  let requests: RequestBox;
  let dashboard: Dashboard;
  let url: string;
  let chromium: Chromium;
  let page: Page;
  let second: Page;
  const errors: unknown[] = [];

  const openDashboard = async (port: number): Promise<string> => {
    const onError = (error: unknown) => errors.push(error);
    const options = { folders: [temporary.path], control: runControl, token, onError, lookMs: 20 };
    dashboard = new Dashboard(options);
    return dashboard.listen('127.0.0.1', port);
  };
  const openView = async (name: string, on = page): Promise<void> => {
    await on.evaluate(`location.hash = '${name}'`);
    await on.until(`document.title.toLowerCase().startsWith('${name}')`);
  };
  const pressInList = async (...keys: readonly string[]): Promise<void> => {
    await page.evaluate(`document.querySelector('#view [role=listbox]').focus()`);
    for (const key of keys) await page.press(key);
  };
  const focusOn = async (run: string, on = page): Promise<void> => {
    await on.evaluate(`(() => {
      const select = document.querySelector('.run-picker select');
      select.value = [...select.options].find(({ text }) => text === '${run}').value;
      select.dispatchEvent(new Event('change'));
    })()`);
  };

  before(async () => {
    temporary = new TemporaryDirectory();
    folder = join(temporary.path, 'one');
    writeMadeRun(folder, { steps: STEPS, metrics: METRICS });
    writeMadeRun(join(temporary.path, 'other'), { steps: 5, status: { state: 'done' } });
    writeFileSync(join(temporary.path, 'other/validations/5.jsonl'), findingLines());
    const turns = ['Let me look closer.', 'user\n<b>A crop.</b>', 'It is A.'];
    const played = JSON.stringify({ ...sampleLine(5, 8), output: turns.join(''), turns });
    appendFileSync(join(temporary.path, 'other/rollouts/5.jsonl'), `${played}\n`);
    const lastError = 'the disk is full';
    writeMadeRun(join(temporary.path, 'gone'), { steps: 3, status: { lastError } });
    // More than a page of the log reads.
    const quiet = `${JSON.stringify({ level: 'debug', msg: 'x'.repeat(2 ** 20) })}\n`.repeat(17);
    appendFileSync(join(temporary.path, 'gone/cxmind.log'), quiet);
    const evil = { ...sampleLine(STEPS, 8), input: hostile, output: hostile, gts: hostile };
    const samples = join(folder, 'rollouts', `${STEPS}.jsonl`);
    appendFileSync(samples, `${JSON.stringify({ ...evil, parts: { '<i>x</i>': 1 } })}\n`);
    lock = await RunLock.take(folder);
    requests = await RequestBox.open(folder);
    url = await openDashboard(0);
    chromium = Chromium.start();
    page = await chromium.page(WIDE);
    await page.open(url);
    await page.until(`${chart('critic/score/mean')}?.includes(' at step ')`);
  });
  after(async () => {
    await chromium[Symbol.asyncDispose]();
    await dashboard[Symbol.asyncDispose]();
    await lock[Symbol.asyncDispose]();
    temporary[Symbol.dispose]();
    assert.deepEqual(errors, []);
  });

  it('shows how far the run in focus is, its warnings, and a curve of its scores', async () => {
    assert.match(await page.text('.facts'), /running\s+step 40 of 80\s+40 s left/);
    const cards = await page.text('.cards');
    for (const text of [
      ...['Step time\n1 s', 'Checkpoint\nstep 40\nglobal_step_40', 'Memory\n954 MiB'],
      'Memory of cuda:0\n60 GiB\n20 GiB of 80 GiB free',
    ]) {
      assert.ok(cards.includes(text), `${text} in ${cards}`);
    }
    await page.until(`${texts('.warnings li')}.length === ${STEPS / 4}`);
    assert.match(await page.text('.warnings'), /\srow 39 is odd/);
    const values = Array.from({ length: STEPS }, (_, i) => madeValue(0, i + 1));
    const range = `from ${shown(Math.min(...values))} to ${shown(Math.max(...values))}`;
    const words = `critic/score/mean, ${shown(madeValue(0, STEPS))} at step ${STEPS}, ${range}`;
    assert.equal(await page.evaluate(chart('critic/score/mean')), words);
    assert.ok(!(await page.evaluate<string>('location.href')).includes(token));
    assert.equal(await page.evaluate('document.title'), 'Overview – one – cxmind');
  });

  it('leaves a reader where he is among the runs while they go on', async () => {
    await page.evaluate(`document.querySelectorAll('.overview .link')[1].focus()`);
    await page.evaluate(`document.querySelector('.run-picker option').isSame = true`);
    const file = join(folder, 'status.json');
    const status = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...status, secondsLeft: 39 }));
    await page.until(`document.querySelector('.facts').innerText.includes('39 s left')`);
    assert.equal(await page.evaluate(`document.activeElement.innerText`), 'one');
    assert.ok(await page.evaluate(`document.querySelector('.run-picker option').isSame`));
  });

  it('draws every metric, and those alone that a search finds', async () => {
    await openView('metrics');
    await page.until(`${texts('.chart')}.length === ${METRICS}`);
    const last = `${shown(madeValue(3, STEPS))} at step ${STEPS}`;
    await page.until(`${chart('group_3/metric_3')}?.includes('${last}')`);
    const canvas = `document.querySelector('[data-metric="group_3/metric_3"] canvas').toDataURL()`;
    const raw = await page.evaluate(canvas);
    await page.evaluate(written('input[type=range]', '0.9', 'input'));
    await page.until(`${canvas} !== ${JSON.stringify(raw)}`);
    await page.evaluate(`document.querySelector('.toolbar input[type=checkbox]').click()`);
    await page.evaluate(written('#view input[type=search]', 'GROUP_3', 'input'));
    assert.deepEqual(await page.evaluate(texts('.chart-name')), ['group_3/metric_3']);
  });

  it('zooms all charts to the steps that are dragged over', async () => {
    const box = await page.evaluate<{ x: number; y: number; width: number }>(
      `(({ x, y, width }) => ({ x, y, width }))(document.querySelector('.u-over').getBoundingClientRect())`,
    );
    const at = (share: number): [number, number] => [box.x + share * box.width, box.y + 20];
    await page.drag(at(0.25), at(0.75));
    const fields = `[...document.querySelectorAll('#view input[type=number]')].map((one) => one.valueAsNumber)`;
    await page.until(`${fields}.every((value) => !Number.isNaN(value))`);
    const [from, to] = await page.evaluate<[number, number]>(fields);
    // Steps 1 to 40 over the whole width.
    assert.ok(Math.abs(from - (1 + 0.25 * 39)) <= 1 && Math.abs(to - (1 + 0.75 * 39)) <= 1);
  });

  it('says what a span of a step waited for', async () => {
    await openView('timeline');
    await page.until(`${texts('#view [role=option]')}.length === 6`);
    assert.match(await page.text('.toolbar'), /1 s, 6 spans/);
    await pressInList(...Array<string>(4).fill('ArrowDown'));
    assert.match(
      await page.text('.span-facts'),
      /score on reward\/0 from 650 ms to 700 ms, 50 ms; failed or given up\. Its message waited 55 ms for the actor, which was busy with score on reward\/0 \(50 ms\)/,
    );
    await page.press('[');
    await page.until(`document.querySelector('#view input[type=number]').value === '${STEPS - 1}'`);
  });

  it('keeps the span that is chosen when another step comes', async () => {
    await pressInList('End');
    const spans = join(folder, 'spans.jsonl');
    const newest = readFileSync(spans, 'utf8').trimEnd().split('\n').at(-1)!;
    appendFileSync(spans, `${newest.replace(`"step":${STEPS}`, `"step":${STEPS + 1}`)}\n`);
    await page.until(`/of ${STEPS + 1}/.test(document.querySelector('.step-picker').innerText)`);
    const chosen = await page.evaluate<string[]>(texts('#view [aria-selected=true]'));
    assert.match(chosen.join(), /learner\/0\s+update/);
    assert.match(await page.text('.span-facts'), /^update on learner\/0/);
  });

  it('shows each actor with its mailbox, restarts, memory and device', async () => {
    await openView('actors');
    await page.until(`${texts('.actors tbody tr')}.length === 2`);
    const [data, rollout] = await page.evaluate<string[]>(texts('.actors tbody tr'));
    assert.match(
      rollout!,
      /rollout\/0\s+running\s+generate for .*\s+1 of 1,024\s+0\s+28\.6 MiB\s+cpu/,
    );
    assert.match(data!, /data\s+running\s+idle for .*\s+0 of 1,024\s+2\s+28\.6 MiB\s+–/);
  });

  it('shows a sample with its judged steps and rewards, and its prompt over the steps', async () => {
    await openView('samples');
    await page.until(`${texts('section > .reasoning-step')}.length === 2`);
    assert.match(await page.text('.toolbar'), /9 samples, mean score/);
    assert.equal(await page.text('.rewards'), 'format\n1\naccuracy\n1\noverall\n1');
    assert.match(
      await page.text('.reasoning-step.right'),
      /It may be A\.\s+A ✓\s+affirms\s+✓ judged rightly/,
    );
    await pressInList('ArrowDown');
    await page.until(`document.querySelector('.reasoning-step.wrong') !== null`);
    assert.match(await page.text('.sample header'), /Step 40, response 2\s+✗ wrong\s+score 0\.1/);
    await page.evaluate(click('This prompt over the steps'));
    await page.until(`${texts('.history .column')}.length === 24`);
    const [first] = await page.evaluate<string[]>(texts('.history h2'));
    assert.equal(first, 'Step 1, response 1');
    assert.ok((await page.evaluate<string[]>(texts('.detail button'))).includes('136 more'));
  });

  it('shows the turns of a response, and whose each is', async () => {
    await focusOn('other');
    await openView('samples');
    await page.until(`${texts('[role=option]')}.length === 9`);
    await pressInList('End');
    await page.until(`${texts('.turn')}.length === 3`);
    assert.deepEqual(await page.evaluate<string[]>(texts('.turn')), [
      'policy\nLet me look closer.',
      'environment\nuser\n<b>A crop.</b>',
      'policy\nIt is A.',
    ]);
    assert.deepEqual(await page.evaluate(texts('section > .reasoning-step')), []);
    await focusOn('one');
    await page.until(`${texts('.turn')}.length === 0`);
  });

  it('shows hostile text as text, with what hides in it made visible', async () => {
    await pressInList('End');
    await page.until(`document.querySelector('.sample .text .hidden-character') !== null`);
    const text = '.sample .text';
    assert.match(await page.text(text), /<img src=x onerror="window\.harmed=1"><script>/);
    const marks = await page.evaluate(
      `[...document.querySelector('${text}').querySelectorAll('.hidden-character')].map((one) => one.title)`,
    );
    assert.deepEqual(marks, [
      'U+001B escape',
      'U+202E right-to-left override',
      'U+2066 left-to-right isolate',
      'U+200B zero-width space',
    ]);
    const raw = `/[\\u001b\\u202e\\u2066\\u200b]/.test(document.documentElement.outerHTML)`;
    assert.deepEqual(
      await page.evaluate(
        `[${raw}, window.harmed ?? 0, document.querySelectorAll('#view img').length]`,
      ),
      [false, 0, 0],
    );
    assert.equal(await page.text('.rewards dt'), '<i>x</i>');
  });

  it('shows a validation by option, and what was taken for what', async () => {
    await openView('validation');
    await page.until(`document.querySelector('.heat-map') !== null`);
    assert.match(await page.text('.cards'), /Right answers\n50\.0 %\n4 of 8/);
    assert.deepEqual(await page.evaluate(texts('.shares tbody tr')), [
      'A\t\n\t50.0 %\t2 of 4',
      'B\t\n\t50.0 %\t2 of 4',
    ]);
    const cells = (await page.evaluate<string[]>(texts('.heat-map tr'))).map((row) => row.trim());
    assert.deepEqual(
      cells.slice(0, 3).map((row) => row.split('\t')),
      [
        ['Reference ↓ response →', 'A', 'B', 'C'],
        ['A', '2', '2', '·'],
        ['B', '·', '2', '2'],
      ],
    );
  });

  it('shows a validation by finding, and which were taken for which', async () => {
    await focusOn('other');
    await page.until(`${texts('.heat-map tr')}.length === 3`);
    assert.match(await page.text('.cards'), /Right answers\n25\.0 %\n1 of 4/);
    const rows = await page.evaluate<string[]>(texts('.shares tbody tr'));
    assert.deepEqual(
      rows.map((row) => row.split(/\s+/)),
      [
        ['edema', '0.857', '1.000', '0.750', '3', '1', '0'],
        ['pneumonia', '0.000', '0.000', '0.000', '0', '1', '2'],
      ],
    );
    const cells = await page.evaluate<string[]>(texts('.heat-map tbody tr'));
    assert.deepEqual(
      cells.map((row) => row.trim().split(/\s+/)),
      [
        ['edema', '3', '2', '·'],
        ['pneumonia', '·', '·', '1'],
      ],
    );
    await focusOn('one');
  });

  it('shows the lines of the log from a level on, and all fields of one', async () => {
    await openView('log');
    await page.until(`/40 lines/.test(document.querySelector('.toolbar').innerText)`);
    await page.evaluate(written('#view select', 'warn', 'change'));
    await page.until(`/10 lines/.test(document.querySelector('.toolbar').innerText)`);
    await pressInList('End');
    assert.match(await page.text('.log-detail'), /warn note.*text\s+warning: row 39 is odd/s);
  });

  it('shows other runs over the first, and where their configs differ', async () => {
    await openView('config');
    await page.until(`${texts('.config tbody tr')}.length === 4`);
    await page.press('r');
    await page.evaluate(`(() => {
      const labels = [...document.querySelectorAll('dialog label')];
      const box = labels.find((one) => one.innerText.includes('other')).control;
      box.focus();
      box.click();
    })()`);
    const chosen = `document.activeElement.closest('label')?.innerText.includes('other')`;
    assert.equal(await page.evaluate(chosen), true);
    await page.press('Escape');
    await page.until(`${texts('.config tr.differing')}.length === 2`);
    const rows = await page.evaluate<string[]>(texts('.config tr.differing'));
    assert.deepEqual(
      rows.map((row) => row.replace(' \u2260', '')),
      ['trainer.max_steps\t40\t5', 'trainer.seed\t40\t5'],
    );
    await openView('overview');
    const both = `/one: .* at step 40.*; other: .* at step 5/.test(${chart('critic/score/mean')})`;
    await page.until(both);
    assert.equal(await page.text('.legend'), 'one\nother');
  });

  it('draws a step that comes while it is open, in every browser that shows the run', async () => {
    second = await chromium.page(WIDE);
    // A tab that is loaded anew shows the runs that it showed before.
    const remembered = await page.evaluate<string>(`sessionStorage.getItem('cxmind-runs')`);
    const [, other] = remembered.split(' ');
    await second.prepare(`sessionStorage.setItem('cxmind-runs', '${other}')`);
    await second.open(url);
    await second.until(`document.title === 'Overview – other – cxmind'`);
    await focusOn('one', second);
    await second.until(`${chart('critic/score/mean')}?.includes(' at step 40')`);
    appendFileSync(join(folder, 'metrics.jsonl'), metricLine(STEPS + 1, METRICS));
    for (const one of [page, second])
      await one.until(`/at step 41/.test(${chart('critic/score/mean')})`);
  });

  it('looks further up a log whose newest part has no line of the level', async () => {
    await focusOn('gone', second);
    await openView('log', second);
    await second.until(`document.querySelector('.toolbar').innerText.endsWith('3 lines')`);
    await focusOn('one', second);
    await openView('overview', second);
  });

  it('asks before it steers a run, and says what became of it', async () => {
    await page.evaluate(click('Save now'));
    await page.evaluate(click('Cancel'));
    assert.deepEqual(await runControl.requests(folder), []);
    await page.evaluate(click('Save now'));
    await page.evaluate(click('Save'));
    await page.until(`document.querySelector('.toast') !== null`);
    assert.match(await page.text('.toast'), /Save now: asked/);
    const [request] = await runControl.requests(folder);
    assert.deepEqual([request!.kind, request!.state], ['save', 'waiting']);
    await requests.answer(request!, 'done', 'global_step_41');
    await page.until(`/done, global_step_41/.test(document.querySelector('.toast').innerText)`);
  });

  it('says that a run is dead, and steers it no more', async () => {
    await focusOn('gone');
    await page.until(`/This run is dead/.test(document.querySelector('#banner').innerText)`);
    await page.until(`/the disk is full/.test(document.querySelector('#banner').innerText)`);
    assert.ok(await page.evaluate(`document.querySelector('[data-request=stop]').disabled`));
    await focusOn('one');
    await page.until(`!document.querySelector('[data-request=stop]').disabled`);
  });

  it('is walked through by keys alone', async () => {
    await openView('overview');
    const focused = `document.activeElement.ariaLabel ?? document.activeElement.innerText`;
    await page.evaluate(`document.activeElement.blur()`);
    const path: string[] = [];
    while (path.at(-1) !== 'Overview' && path.length < 20) {
      await page.press('Tab');
      path.push(await page.evaluate<string>(focused));
    }
    assert.deepEqual(path.slice(-6), [
      ...['Save now', 'Validate now', 'Stop', 'Light or dark', 'Keys', 'Overview'],
    ]);
    assert.equal(
      await page.evaluate(`getComputedStyle(document.activeElement).outlineStyle`),
      'solid',
    );
    await page.press('ArrowRight');
    await page.until(`document.title.startsWith('Metrics')`);
    assert.equal(await page.evaluate(focused), 'Metrics');
    await page.press('End');
    await page.until(`document.title.startsWith('Log')`);
    await page.press('1');
    await page.until(`document.title.startsWith('Overview')`);
    await page.press('?');
    assert.match(await page.text('dialog'), /open a view/);
    await page.press('Escape');
    await page.until(`document.querySelector('dialog') === null`);
    await page.press('t');
    assert.equal(await page.evaluate(`document.documentElement.dataset.theme`), 'dark');
    await page.press('t');
  });

  it('has room on a phone, and texts that are easy to read, light and dark', async () => {
    for (const scheme of ['light', 'dark'] as const) {
      await second.resize({ width: 360, height: 740, scheme });
      await second.until(`document.documentElement.dataset.theme === '${scheme}'`);
      for (const view of views) {
        await openView(view, second);
        await second.until(`document.querySelector('#view').innerText.length > 40`);
        const wide = `(() => {
          document.querySelector('.facts > span:last-child').textContent = '1 d 23 h 59 min left';
          return document.documentElement.scrollWidth > innerWidth;
        })()`;
        assert.equal(await second.evaluate(wide), false, `${view} is wider than a phone`);
        assert.deepEqual(await second.evaluate(faintTexts), [], `${view}, ${scheme}`);
      }
    }
    assert.deepEqual(second.complaints, []);
  });

  it('shows nothing without the token', async () => {
    const stranger = await chromium.page(WIDE);
    await stranger.open(new URL(url).origin);
    await stranger.until(`document.body.innerText.includes('token')`);
    assert.equal(await stranger.evaluate(`document.querySelector('#view')`), null);
  });

  it('says that its connection is lost, and comes back', async () => {
    await dashboard[Symbol.asyncDispose]();
    const banner = `document.querySelector('#banner').innerText`;
    await page.until(`/connection to the dashboard is lost/.test(${banner})`);
    assert.ok(await page.evaluate(`document.querySelector('[data-request=stop]').disabled`));
    await openDashboard(Number(new URL(url).port));
    await page.until(`${banner} === ''`);
  });

  it('asks no other server for anything, and breaks no rule of its content policy', () => {
    const { origin } = new URL(url);
    assert.deepEqual(
      page.requests.filter((asked) => !asked.startsWith(origin) && !asked.startsWith('data:')),
      [],
    );
    // The lost connection is the browser's to complain of.
    assert.deepEqual(
      page.complaints.filter((text) => !text.includes('ERR_CONNECTION_REFUSED')),
      [],
    );
  });
}
