import type { RunDetail, RunListing } from '../../dashboard/api.ts';
import type { ActorState } from '../../dashboard/run-files.ts';
import { sizeText } from '../../files.ts';
import { ReportingCommand } from '../command.ts';
import { runArg } from '../flags.ts';
import { durationText } from '../output/step-table.ts';
import type { Paint } from '../output/style.ts';

export class Status extends ReportingCommand {
  static override summary = 'Tell where a run stands: step, time left, phases and actors.';
  static override description =
    'RUN may go on or have ended, here or on another host that shares the folder. The result of --json has in `runs` ' +
    "what the dashboard's API answers for each run in the folder.";
  static override examples = [
    '<%= config.bin %> status runs/quickstart/seed-1',
    '<%= config.bin %> status runs --json',
  ];
  static override args = { run: runArg };

  async run(): Promise<void> {
    const { args } = await this.parse(Status);
    const { runsIn } = await import('../runs.ts');
    const views = await runsIn(args.run);
    const details = await Promise.all(views.map((view) => view.detail()));
    const text = details.map((detail) => linesOf(detail).join('\n')).join('\n\n');
    await this.output.tell({ event: 'result', command: 'status', runs: details }, text, paintState);
  }
}

/** A run in words. */
function linesOf({ listing, status, warnings }: RunDetail): string[] {
  const lines = [`${listing.folder}: ${stateText(listing)}`];
  if (status === null) return lines;
  const { checkpoint, memory, deviceMemory, device, phases, progress, lastError, actors } = status;
  const { goesOn } = listing;
  const none = goesOn ? 'none yet' : 'none';
  const saved = checkpoint === null ? none : `step ${checkpoint.step}, ${checkpoint.path}`;
  lines.push(
    `  on ${status.host}, process ${status.pid}, ${device}, ${sizeText(memory.residentBytes)} of memory`,
    ...deviceMemory.map(
      ({ device: name, freeBytes, totalBytes }) =>
        `  ${name}: ${sizeText(totalBytes - freeBytes)} of ${sizeText(totalBytes)} of its memory in use`,
    ),
    `  checkpoint: ${saved}`,
  );
  const doing =
    progress.length > 0
      ? progress.map(({ name, done, total }) => `${name} ${done}/${total}`)
      : phases.map(({ name }) => name);
  if (goesOn && doing.length > 0) lines.push(`  now: ${doing.join(', ')}`);
  if (goesOn) lines.push(...actors.map(actorLine));
  if (lastError !== null) lines.push(`  error: ${lastError}`);
  const newest = warnings.at(-1);
  if (newest !== undefined) {
    const many = warnings.length === 1 ? '' : `the newest of ${warnings.length}: `;
    lines.push(`  warning: ${many}${newest.text.replace(/^warning: /, '')}`);
  }
  return lines;
}

/** The state of each run in its colour, and what went wrong. */
const paintState: Paint = (text, { strong, good, doubtful, bad }) =>
  text
    .replace(/^\S.*(?=: [a-z]+, step )/gm, strong)
    .replace(/(?<=^\S.*: )(?:done|starting|running|stopping)(?=, step )/gm, good)
    .replace(/(?<=^\S.*: )(?:stopped|silent|unknown)(?=, step )/gm, doubtful)
    .replace(/(?<=^\S.*: )(?:failed|dead)(?=, step )/gm, bad)
    .replace(/^ {2}warning:/gm, doubtful)
    .replace(/^ {2}error:/gm, bad);

function stateText({ state, step, steps, secondsLeft }: RunListing): string {
  const left = secondsLeft === null ? '' : `, ${durationText(secondsLeft)} left`;
  return `${state}, step ${step}${steps === null ? '' : ` of ${steps}`}${left}`;
}

function actorLine({ name, status, device, method, mailbox, restarts }: ActorState): string {
  const facts = [
    status,
    ...(device === null ? [] : [device]),
    method ?? 'waits',
    `${mailbox} in its mailbox`,
    ...(restarts > 0 ? [`${restarts} restarts`] : []),
  ];
  return `  ${name}: ${facts.join(', ')}`;
}
