/** A plan as text for people and as lines of JSON for programs. */
import type { Advice } from './advice.ts';
import { phases } from './count.ts';
import type { Estimate, PlaceMemory } from './estimate.ts';

/** The plan of a run on one machine. */
export interface MachinePlan {
  readonly estimate: Estimate;
  /** Steps of the whole run; null where the number of prompts is not known. */
  readonly steps: number | null;
  /** Changes by which it fits; none where it does already. */
  readonly advice: readonly Advice[];
}

/** A machine that a config cannot run on. */
export interface RefusedMachine {
  readonly machine: string;
  /** False where the config asks for a card, and the machine has none. */
  readonly hasCard: boolean;
  readonly reason: string;
}

/** Hours of the whole run, validation and checkpoints not counted; null where the number of steps is not known. */
function hoursOf({ estimate, steps }: MachinePlan): number | null {
  return steps === null ? null : (steps * estimate.stepSeconds) / 3600;
}

/** Facts of a machine's plan, for machines to read. */
export function factsOf(plan: MachinePlan) {
  const { estimate, steps, advice } = plan;
  return {
    ...estimateFacts(estimate),
    steps,
    hours: hoursOf(plan),
    advice: advice.map(({ items, estimate: after }) => ({ items, ...estimateFacts(after) })),
  };
}

function estimateFacts({ machine, fits, memory, seconds, stepSeconds, tokensPerSecond }: Estimate) {
  return {
    machine,
    fits,
    step_seconds: stepSeconds,
    tokens_per_second: tokensPerSecond,
    seconds,
    memory: memory.map(({ place, parts, peakBytes, capacityBytes, fits: hasRoom }) => ({
      place,
      fits: hasRoom,
      peak_bytes: peakBytes,
      capacity_bytes: capacityBytes,
      parts: Object.fromEntries(parts.map(({ what, bytes }) => [what, bytes])),
    })),
  };
}

/** Facts of a machine that a config cannot run on. */
export function refusalFacts({ machine, reason }: RefusedMachine) {
  return { machine, fits: false, reason };
}

/** The table of machines: where the run fits, and how long it takes there. Reasons of those it cannot run on follow. */
export function tableOf(
  plans: readonly MachinePlan[],
  refused: readonly RefusedMachine[] = [],
): string {
  const rows = plans.map((plan): string[] => {
    const { estimate } = plan;
    const { memory, stepSeconds, tokensPerSecond, fits } = estimate;
    const hours = hoursOf(plan);
    const placeOf = (place: PlaceMemory['place']): string => {
      const found = memory.find((one) => one.place === place);
      return found === undefined ? '' : `${gib(found.peakBytes)} of ${gib(found.capacityBytes)}`;
    };
    return [
      estimate.machine,
      fits ? 'yes' : 'no',
      placeOf('card'),
      placeOf('host'),
      rounded(stepSeconds),
      String(Math.round(tokensPerSecond)),
      hours === null ? '' : rounded(hours),
    ];
  });
  const head = ['machine', 'fits', 'card, GiB', 'host, GiB', 'step, s', 'tokens/s', 'hours'];
  const others = refused.map(({ machine, hasCard }) => [
    ...[machine, hasCard ? 'no' : 'no card'],
    ...head.slice(2).map(() => ''),
  ]);
  const reasons = refused
    .filter(({ hasCard }) => hasCard)
    .map(({ machine, reason }) => `${machine}: ${reason}`);
  return [aligned([head, ...rows, ...others]), ...reasons].join('\n');
}

/** The details of one machine: memory by part, seconds by phase, and what to change where it does not fit. */
export function detailsOf({ estimate, advice }: MachinePlan): string {
  const { memory, seconds, machine } = estimate;
  const memories = memory.map(({ place, parts, peakBytes, capacityBytes }) => {
    const rows = parts.map(({ what, bytes }) => [`  ${what}`, gib(bytes)]);
    rows.push(['  together', gib(peakBytes)], ['  there is', gib(capacityBytes)]);
    const of = place === 'card' ? 'each card' : 'the host';
    return `memory of ${of}, GiB\n${aligned(rows)}`;
  });
  const times = phases
    .filter((phase) => seconds[phase] > 0)
    .map((phase) => [`  ${phase}`, rounded(seconds[phase])]);
  const change = advice.map(({ items, estimate: after }) => [
    `  ${items.join(' ')}`,
    after.memory
      .map(({ place, peakBytes, fits }) => `${place} ${gib(peakBytes)}${fits ? '' : ' (too much)'}`)
      .join(', '),
    `${rounded(after.stepSeconds)} s`,
  ]);
  return [
    machine,
    ...memories,
    `seconds of a step\n${aligned(times)}`,
    ...(change.length === 0
      ? []
      : [`to make it fit, one after the other; memory in GiB after each\n${aligned(change)}`]),
  ].join('\n');
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isNumber = (text: string): boolean => /^[\d.]/.test(text);
  return rows
    .map((row) =>
      row
        .map((text, column) =>
          isNumber(text) ? text.padStart(widths[column]!) : text.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(2);
}

/** Three significant digits. */
function rounded(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}
